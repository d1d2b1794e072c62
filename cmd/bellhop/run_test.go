package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"bellhop/engine/config"
)

func TestReloadOn(t *testing.T) {
	t.Parallel()
	hangups, reloaded := make(chan os.Signal), make(chan struct{})
	stop := reloadOn(hangups, func() { reloaded <- struct{}{} })
	for range 3 {
		hangups <- syscall.SIGHUP
		select {
		case <-reloaded:
		case <-time.After(scriptPatience):
			t.Fatal("a signal is not followed by a reload")
		}
	}
	stop()
	select {
	case hangups <- syscall.SIGHUP:
		t.Error("a signal is still taken after stop")
	default:
	}
}

func TestFlagsWinOverTheConfiguration(t *testing.T) {
	t.Parallel()
	c := config.Default()
	(&serverFlags{rules: "r", listen: "l"}).override(c)
	if c.Rules != "r" || c.Listen != "l" || c.Store != "data" || c.Admin != "127.0.0.1:8081" {
		t.Errorf("%+v", c)
	}
}

func TestUnverified(t *testing.T) {
	t.Parallel()
	c := config.Default()
	for name, scheme := range map[string]string{"b": config.None, "a": config.None, "c": config.HighLevel} {
		c.Sources[name] = config.Source{Verify: config.Verify{Scheme: scheme}}
	}
	if got := strings.Join(unverified(c), " "); got != "a b" {
		t.Errorf("unverified are %q", got)
	}
}
