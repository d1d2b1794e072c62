// Package storetest gives tests a place for a store: a folder, or a database of a PostgreSQL server that it starts. All
// tests that use it run over PostgreSQL if BELLHOP_STORE is postgres:
//
//	BELLHOP_STORE=postgres go test ./engine/...
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Postgres reports whether tests run over PostgreSQL.
func Postgres() bool { return os.Getenv("BELLHOP_STORE") == "postgres" }

// At returns the place of a new store.
func At(tb testing.TB) string {
	tb.Helper()
	if Postgres() {
		return Database(tb)
	}
	return tb.TempDir()
}

// Beside returns the URL of the database that belongs to a folder, always the same one for the folder.
func Beside(tb testing.TB, dir string) string {
	tb.Helper()
	path := filepath.Join(dir, "database.url")
	if data, err := os.ReadFile(path); err == nil { //nolint:gosec // the folder of a test
		return string(data)
	}
	at := Database(tb)
	if err := os.WriteFile(path, []byte(at), 0o600); err != nil {
		tb.Fatal(err)
	}
	return at
}

// InFolder skips a test that is about the file of a store.
func InFolder(tb testing.TB) {
	tb.Helper()
	if Postgres() {
		tb.Skip("this is about the file of a store")
	}
}

// Database returns the URL of a new database on the server that all tests of a package share. It skips the test if there
// is no PostgreSQL.
func Database(tb testing.TB) string {
	tb.Helper()
	s, err := shared()
	if err != nil {
		skip(tb, err)
	}
	return s.Database(tb)
}

// skip skips a test because there is no PostgreSQL, unless BELLHOP_REQUIRE is set.
func skip(tb testing.TB, err error) {
	tb.Helper()
	if os.Getenv("BELLHOP_REQUIRE") != "" {
		tb.Fatal(err)
	}
	tb.Skip("PostgreSQL is not available (on Debian: apt install postgresql): ", err)
}

// Stop stops the server that the tests of a package share. TestMain calls it.
func Stop() {
	if !started.Load() {
		return
	}
	if s, err := shared(); err == nil {
		s.Stop("immediate")
		s.remove()
	}
}

var (
	started atomic.Bool
	shared  = sync.OnceValues(func() (*Server, error) { started.Store(true); return start() })
)

// A Server is a PostgreSQL server on this machine.
type Server struct {
	dir string // with the data and the socket
	bin string
	n   atomic.Int64
}

// NewServer starts a server for one test. It skips the test if there is no PostgreSQL.
func NewServer(tb testing.TB) *Server {
	tb.Helper()
	s, err := start()
	if err != nil {
		skip(tb, err)
	}
	tb.Cleanup(func() { s.Stop("immediate"); s.remove() })
	return s
}

func start() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bellhop-pg") // short: the path of a socket is limited
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: bin}
	if os.Geteuid() == 0 { // the server refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
	}
	if err := s.run("initdb", "--pgdata", s.data(), "--username", "bellhop", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"); err != nil {
		s.remove()
		return nil, err
	}
	if err := s.Start(); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// programs returns the folder of the server's programs. Debian keeps them out of PATH.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		return "", errors.New("initdb is neither in PATH nor in /usr/lib/postgresql")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) run(program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	args = append([]string{filepath.Join(s.bin, program)}, args...)
	if os.Geteuid() == 0 {
		args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // programs of PostgreSQL
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

// Start starts the server again after [Server.Stop].
func (s *Server) Start() error {
	options := "-c listen_addresses= -c unix_socket_directories=" + s.dir +
		" -c max_connections=300 -c shared_buffers=64MB -c fsync=off -c autovacuum_naptime=5s -c log_min_messages=fatal"
	return s.run("pg_ctl", "start", "--wait", "--pgdata", s.data(), "--log", filepath.Join(s.dir, "log"), "--options", options)
}

// Stop stops the server. mode is fast, which ends all connections, or immediate, which is as good as a crash.
func (s *Server) Stop(mode string) {
	_ = s.run("pg_ctl", "stop", "--wait", "--pgdata", s.data(), "--mode", mode)
}

func (s *Server) remove() { _ = os.RemoveAll(s.dir) }

// Socket returns the path of the server's socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL.5432") }

// URL returns the URL of a database.
func (s *Server) URL(database string) string {
	return "postgres://bellhop@/" + database + "?host=" + url.QueryEscape(s.dir)
}

// Database returns the URL of a new database, which is dropped when the test ends.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test%d", s.n.Add(1))
	s.admin(tb, `CREATE DATABASE `+name)
	tb.Cleanup(func() { s.admin(tb, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`) })
	return s.URL(name)
}

func (s *Server) admin(tb testing.TB, statement string) {
	tb.Helper()
	db, err := sql.Open("pgx", s.URL("postgres"))
	if err == nil {
		_, err = db.ExecContext(context.WithoutCancel(tb.Context()), statement)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		tb.Error(err)
	}
}
