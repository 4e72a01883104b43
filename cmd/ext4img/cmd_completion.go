package main

import "github.com/urfave/cli/v2"

func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a completion script: bash, zsh or fish", ArgsUsage: "SHELL",
		Description: example("", "source <(ext4img completion bash)", "ext4img completion fish > ~/.config/fish/completions/ext4img.fish"),
		Action:      completion,
	}
}

// bashCompletion asks the program itself for what may come next, and falls back to files.
const bashCompletion = `_ext4img() {
  local cur words
  cur="${COMP_WORDS[COMP_CWORD]}"
  if [[ "$cur" == -* ]]; then
    words=$("${COMP_WORDS[@]:0:COMP_CWORD}" "$cur" --generate-bash-completion 2>/dev/null)
  else
    words=$("${COMP_WORDS[@]:0:COMP_CWORD}" --generate-bash-completion 2>/dev/null)
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o bashdefault -o default -F _ext4img ext4img
`

const zshCompletion = `#compdef ext4img
_ext4img() {
  local -a options
  local cur=${words[-1]}
  if [[ "$cur" == "-"* ]]; then
    options=("${(@f)$(${words[@]:0:#words[@]-1} ${cur} --generate-bash-completion 2>/dev/null)}")
  else
    options=("${(@f)$(${words[@]:0:#words[@]-1} --generate-bash-completion 2>/dev/null)}")
  fi
  if [[ -n "${options[1]}" ]]; then
    compadd -- $options
  else
    _files
  fi
}
compdef _ext4img ext4img
`

func completion(c *cli.Context) error {
	if err := need(c, 1, 1); err != nil {
		return err
	}
	switch shell := c.Args().First(); shell {
	case "bash":
		say(c, "%s", ours(bashCompletion))
	case "zsh":
		say(c, "%s", ours(zshCompletion))
	case "fish":
		script, err := c.App.ToFishCompletion()
		if err != nil {
			return err
		}
		say(c, "%s\n", ours(script))
	default:
		return usagef(c, "shell %q: want bash, zsh or fish", shell)
	}
	return nil
}
