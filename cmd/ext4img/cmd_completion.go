package main

import "github.com/urfave/cli/v2"

func completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print a completion script: bash, zsh or fish", ArgsUsage: "SHELL",
		Description: example("", "source <(ext4img completion bash)", "ext4img completion fish > ~/.config/fish/completions/ext4img.fish"),
		Action:      action(parseCompletion, printScript),
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

// parseCompletion is the script for the shell that is named.
func parseCompletion(c *cli.Context) (script string, err error) {
	if err := need(c, 1, 1); err != nil {
		return "", err
	}
	switch shell := c.Args().First(); shell {
	case "bash":
		return bashCompletion, nil
	case "zsh":
		return zshCompletion, nil
	case "fish":
		script, err = c.App.ToFishCompletion()
		return script + "\n", err
	default:
		return "", usagef(c, "shell %q: want bash, zsh or fish", shell)
	}
}

// printScript prints a text that was made from the definitions of the commands.
func printScript(e *env, script string) error {
	say(e, "%s", ours(script))
	return nil
}
