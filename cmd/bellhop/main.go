// Bellhop turns booking events into e-mails, Slack posts and HTTP calls, as YAML rules say.
//
// To see it work, on this machine alone:
//
//	bellhop demo
//
// To begin with rules of your own:
//
//	bellhop init desk                  writes desk/bellhop.yaml, desk/rules/ and a sample event
//	cd desk
//	bellhop check                      says what is wrong in them, and where
//	bellhop test                       runs the tests beside the rules
//	bellhop run                        receives webhooks until it is stopped
//	bellhop send events/booking.json   sends the sample event, from another terminal
//	bellhop deliveries list            shows what came of it
//
// Every command exits with 0 if it did what was asked, with 1 if that failed or found mistakes, and with 2
// if it did not understand the command line.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr, os.LookupEnv))
}
