package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"bellhop/engine/record"
)

// Two mails to one server go over the same connection, which ends when the engine stops.
func TestMailConnectionEndsWithTheEngine(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	said := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			said <- err.Error()
			return
		}
		defer conn.Close()
		var all strings.Builder
		answer, data := "220 hi\r\n", false
		lines := bufio.NewScanner(conn)
		for {
			_, _ = io.WriteString(conn, answer)
			if !lines.Scan() {
				break
			}
			switch line := lines.Text(); {
			case data && line != ".":
				answer = ""
			case data:
				data, answer = false, "250 taken\r\n"
			case line == "DATA":
				data, answer = true, "354 go\r\n"
			default:
				answer = "250 ok\r\n"
				all.WriteString(line[:4] + " ")
			}
		}
		said <- all.String()
	}()
	s := start(t, setup{
		rules: map[string]string{"r.yaml": `
rules:
  - name: desk
    on: [booked, rescheduled]
    then:
      - email: { to: desk@example.com, subject: s, text: t }
`},
		yaml: sourceNone + fmt.Sprintf("egress: { allow: [127.0.0.1] }\nconnections: { mail: { smtp: %q, from: a@example.com } }\n", "smtp://"+listener.Addr().String()+"?tls=none"),
	})
	for i := range 2 {
		s.post(tellOf("confirmed", 1+i, 1+i))
		until(t, "it is sent", func() bool { return len(s.deliveries("state="+string(record.Sent))) == i+1 })
	}
	s.close()
	if got := <-said; got != "EHLO MAIL RCPT RSET MAIL RCPT QUIT " {
		t.Errorf("the server heard %q", got)
	}
}
