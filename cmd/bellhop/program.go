package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"bellhop/engine/config"
	"bellhop/engine/verify"
	"bellhop/rules/text"
)

// The exit statuses.
const (
	exitOK     = 0
	exitFailed = 1 // the thing asked for failed, or found mistakes
	exitUsage  = 2 // the command line was not understood
)

// A program is one run of bellhop, with its input, its outputs and its environment.
type program struct {
	name           string // how people call this program
	stdin          io.Reader
	stdout, stderr *output
	lookup         func(name string) (string, bool) // environment variables
}

// run does what args say (the first is the program's name) and returns the exit status. It ends early when ctx
// ends, or at the first SIGINT or SIGTERM. A second signal is not caught and ends the process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, lookup func(string) (string, bool)) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	p := &program{
		name: invocation(args[0]), stdin: stdin, lookup: lookup,
		stdout: newOutput(stdout, lookup), stderr: newOutput(stderr, lookup),
	}
	root := p.root()
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = p.stdout.err
	}
	_, misused := errors.AsType[*usageError](err)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitFailed
	case misused:
		p.printError(err)
		return exitUsage
	default:
		p.printError(err)
		return exitFailed
	}
}

// invocation returns how to call this program again.
func invocation(arg0 string) string {
	if strings.Contains(arg0, "go-build") { // go run compiled it into a folder that is gone afterwards
		return "go run ./cmd/bellhop"
	}
	if runtimeName := strings.TrimSuffix(filepath.Base(arg0), ".exe"); filepath.Base(arg0) == arg0 {
		return runtimeName
	}
	return arg0
}

// errReported ends a command that has already printed its failure.
var errReported = errors.New("reported")

// A usageError is the error for a command line that was not understood.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "bellhop",
		Short: "Turns booking events into e-mails, Slack posts and HTTP calls",
		Long: `Bellhop turns booking events into actions. An appointment webhook comes in; YAML rules
decide what happens; e-mails, Slack posts and HTTP calls go out.

To see it work on this machine alone:  bellhop demo
To begin with rules of your own:       bellhop init`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.Version = build().Version
	root.SetVersionTemplate("bellhop {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; `%s --help` lists the flags", err, cmd.CommandPath())
	})
	root.AddCommand(
		p.demoCommand(), p.initCommand(), p.checkCommand(), p.testCommand(), p.runCommand(), p.sendCommand(),
		p.eventsCommand(), p.deliveriesCommand(), p.suppressCommand(), p.versionCommand(),
		p.schemaCommand(), p.lspCommand(),
		p.explainCommand(), p.backtestCommand(), p.benchCommand(), p.storeCommand(),
	)
	group(root)
	return root
}

// group makes cmd a command that only has subcommands. Without arguments it shows its help, and an unknown
// subcommand is a mistake.
func group(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		hint := fmt.Sprintf("`%s --help` lists them", cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf("did you mean %q?", near[0])
		}
		return usagef("%s has no command %q; %s", cmd.CommandPath(), args[0], hint)
	}
}

// between checks that a command has from least to most arguments. Its errors quote the usage line.
func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("something is missing: write `%s`", cmd.UseLine())
		case most >= 0 && len(args) > most:
			return usagef("%q is one argument too many: write `%s`", args[most], cmd.UseLine())
		}
		return nil
	}
}

const anyNumber = -1

// load reads the configuration at path, or, if path is "", bellhop.yaml in the working directory if there
// is one.
func (p *program) load(path string, env config.Env) (*config.Config, []text.Finding, error) {
	if path == "" {
		switch _, err := os.Stat(config.FileName); {
		case err == nil:
			path = config.FileName
		case !errors.Is(err, fs.ErrNotExist):
			return nil, nil, fmt.Errorf("looking for the configuration: %w", err)
		}
	}
	env.Lookup = p.lookup
	env.CheckVerify = verify.Check
	return config.Load(path, env)
}

// configFlag adds --config.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "", "the configuration `file`; without it, bellhop.yaml of this folder if there is one")
}
