package main

import (
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

const name = "ext4img"

// appExamples is what ext4img alone shows.
const appExamples = `Examples:
   ext4img mkfs disk.img 1G
   ext4img fallocate -l 256M disk.img /data
   ext4img write --from data.bin --iodepth 64 disk.img /data
   ext4img extents disk.img /data
   ext4img verify disk.img
   ext4img demo`

// newApp defines the commands. Completion, the man page and help come from it.
func newApp(std stdio) *cli.App {
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Usage: "show help", DisableDefaultText: true} // -h too, but for a command's own: arrange
	app := cli.NewApp()
	app.Name, app.HelpName = name, name
	app.Usage = "open ext4 file systems in user space: preallocate, write asynchronously, inspect, verify"
	app.UsageText = name + " [--partition N] COMMAND [flags] IMAGE [PATH] ..."
	app.Description = "IMAGE is a raw ext4 image, a disk image with a partition table, or a block device.\n" +
		"It is never mounted. Sizes: 4096, 4K, 4KiB = 4096; 4KB = 4000; M, G, T likewise.\n\n" + appExamples
	app.Version = version
	app.Reader, app.Writer, app.ErrWriter = std.in, std.out, std.err
	app.Flags = []cli.Flag{
		&cli.IntFlag{Name: "partition", Usage: "take partition `N` of the disk image; 0 is the whole disk"},
		&cli.StringFlag{Name: "journal", Usage: "the external journal of the image is `FILE`"},
		&cli.BoolFlag{Name: "quiet", Usage: "no progress bar"},
	}
	app.Commands = commands()
	app.EnableBashCompletion = true
	app.HideHelpCommand = true
	app.DisableSliceFlagSeparator = true
	app.ExitErrHandler = func(*cli.Context, error) {}
	app.OnUsageError = onUsageError
	for _, c := range app.Commands {
		finish(c)
	}
	for _, f := range app.Flags {
		quietDefault(f)
	}
	return app
}

// commands lists them in the order of the help.
func commands() []*cli.Command {
	return []*cli.Command{
		infoCommand(), lsCommand(), statCommand(), catCommand(), treeCommand(), extentsCommand(),
		fallocateCommand(), writeCommand(), stressCommand(), truncateCommand(),
		verifyCommand(), mkfsCommand(), mountCommand(), demoCommand(), dumpCommand(), journalCommand(), xattrCommand(), importCommand(), exportCommand(),
		putCommand(), getCommand(), mkdirCommand(), rmCommand(), mvCommand(), lnCommand(),
		chmodCommand(), chownCommand(), touchCommand(), completionCommand(), manCommand(),
	}
}

// finish sets what all commands have in common.
func finish(c *cli.Command) {
	c.OnUsageError = onUsageError
	c.HideHelpCommand = true
	c.CustomHelpTemplate = helpTemplate
	for _, f := range c.Flags {
		quietDefault(f)
	}
	for _, sub := range c.Subcommands {
		finish(sub)
	}
}

// quietDefault: that a flag is off by default goes without saying.
func quietDefault(f cli.Flag) {
	if b, ok := f.(*cli.BoolFlag); ok {
		b.DisableDefaultText = true
	}
}

// helpTemplate is the help of a command. An example stands at the end of its description.
const helpTemplate = `{{.HelpName}} - {{.Usage}}

Usage:
   {{.HelpName}}{{if .VisibleFlags}} [flags]{{end}}{{if .Subcommands}} COMMAND{{end}} {{.ArgsUsage}}
{{if .Aliases}}
Also called: {{join .Aliases ", "}}
{{end}}{{if .Subcommands}}
Commands:{{range .Subcommands}}
   {{.Name}}{{"\t"}}{{.Usage}}{{end}}
{{end}}{{if .VisibleFlags}}
Flags:{{range .VisibleFlags}}
   {{.}}{{end}}
{{end}}
{{.Description}}
`

func onUsageError(c *cli.Context, err error, _ bool) error {
	return usagef(c, "%v", err)
}

// example makes a description: what is to be said, and examples.
func example(text string, lines ...string) string {
	var b strings.Builder
	if text != "" {
		b.WriteString(text + "\n\n")
	}
	b.WriteString("Example:")
	for _, l := range lines {
		b.WriteString("\n   " + l)
	}
	return b.String()
}

// isTerminal tells whether a stream is a terminal.
func isTerminal(stream any) bool {
	f := file(stream)
	return f != nil && term.IsTerminal(int(f.Fd()))
}

// colored tells whether to colour what goes to a stream.
func colored(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
