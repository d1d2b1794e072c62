package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"bellhop/engine"
	"bellhop/engine/admin"
	"bellhop/engine/config"
	"bellhop/engine/decide"
	"bellhop/engine/hook"
	"bellhop/engine/record"
	"bellhop/engine/store"
	"bellhop/rules"
	"bellhop/rules/live"
	"bellhop/rules/text"
)

// This file and the other words files contain the texts that commands print, except their help. Texts from outside pass
// through clean first, so that a booking cannot control a terminal.

func (o *output) paint(code, text string) string {
	if !o.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (o *output) bold(text string) string { return o.paint("1", text) }
func (o *output) dim(text string) string  { return o.paint("2", text) }

// state paints a delivery's state by what it means to an operator.
func (o *output) state(s record.State) string {
	switch s {
	case record.Sent:
		return o.paint("32", string(s))
	case record.Dead:
		return o.paint("31", string(s))
	case record.Retrying, record.Held, record.Skipped, record.Cancelled, record.Shadow:
		return o.paint("33", string(s))
	}
	return string(s)
}

func (p *program) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.stdout, format, args...) }

func (p *program) printError(err error) {
	_, _ = fmt.Fprintf(p.stderr, "%s %s\n", p.stderr.paint("31", "bellhop:"), clean(oneLine(err.Error())))
}

// clean makes a text harmless for terminals: control characters become "?", except line breaks, and tabs become spaces.
func clean(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = text.Printable(l)
	}
	return strings.Join(lines, "\n")
}

// oneLine joins the lines of a text with "; ", for example those of joined errors.
func oneLine(text string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" }), "; ")
}

// short cuts a text to n characters and one line.
func short(text string, n int) string {
	r := []rune(clean(oneLine(text)))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}

func itoa(n int) string { return strconv.Itoa(n) }

// count is "1 file", "2 files".
func count(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if stem, ok := strings.CutSuffix(one, "ry"); ok {
		return itoa(n) + " " + stem + "ries"
	}
	return itoa(n) + " " + one + "s"
}

// local returns a time in the zone of this machine, or "-" for none.
func local(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// zoned returns a time in the zone of this machine, with the offset, because people compare it with other zones.
func zoned(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 -07:00") }

// remark prints a line in a dim colour, unless n is 0.
func (p *program) remark(n int, format string, args ...any) {
	if n > 0 {
		p.printf("%s\n", p.stdout.dim(fmt.Sprintf(format, args...)))
	}
}

// table prints rows below a head, in columns.
func (p *program) table(head []string, rows [][]string) {
	w := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		_, _ = fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	_ = w.Flush() // the output remembers its failure
}

// Findings.

// printFindings prints findings with the lines that they are about.
func (p *program) printFindings(o *output, findings []text.Finding) {
	sources := map[string][]byte{}
	for _, f := range findings {
		if f.File == "" || f.Line == 0 { // about a flag or a default, not about a place in a file
			_, _ = fmt.Fprintf(o, "%s: %s\n", f.Severity, clean(f.Message))
			continue
		}
		if _, ok := sources[f.File]; !ok {
			sources[f.File] = readHead(f.File)
		}
		_ = f.Render(o, sources[f.File], o.colour) // the output remembers its failure
	}
}

// readHead reads a file up to the size limit of a rule file. It returns nil for one that cannot be read or is not a
// regular file; findings in it are then shown without their lines.
func readHead(file string) []byte {
	f, err := live.OpenRegular(file)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, text.MaxFileSize))
	if err != nil {
		return nil
	}
	return data
}

func (p *program) printReport(r *report) {
	p.printFindings(p.stdout, r.Findings)
	mistakes, warnings := 0, 0
	for _, f := range r.Findings {
		if f.Severity == text.Error {
			mistakes++
		} else {
			warnings++
		}
	}
	for _, rule := range text.SortedKeys(r.GivenUp) {
		p.printf("%s for the rule %q: in the store, but no longer in the rules; it would come to nothing\n", count(r.GivenUp[rule], "waiting step"), rule)
	}
	verdict := p.stdout.paint("32", "no mistakes")
	if mistakes > 0 {
		verdict = p.stdout.paint("31", count(mistakes, "mistake"))
	}
	if warnings > 0 {
		verdict += ", " + count(warnings, "warning")
	}
	p.printf("%s, %s: %s\n", count(r.Files, "file"), count(r.Rules, "rule"), verdict)
}

// Running.

func (p *program) printStarted(cfg *config.Config, e *engine.Engine) {
	p.printf("%s\n", p.stdout.bold("Bellhop is running; Ctrl-C stops it."))
	for i, name := range text.SortedKeys(cfg.Sources) {
		label := ""
		if i == 0 {
			label = "webhooks"
		}
		p.printf("  %-9s %s/hooks/%s\n", label, e.HookURL(), name)
	}
	p.printf("  %-9s %s/\n", "operators", e.AdminURL())
	if cfg.Path != "" {
		p.printf("  %-9s %s\n", "config", cfg.Path)
	}
	failed := 0
	for _, f := range e.Files() {
		if f.Status == live.Failed {
			failed++
		}
	}
	loaded := fmt.Sprintf("%s, %s", count(len(e.Files()), "file"), count(len(e.Rules()), "rule"))
	if failed > 0 {
		loaded += p.stdout.paint("31", fmt.Sprintf("; %s not loaded", count(failed, "file")))
	}
	p.printf("  %-9s %s (%s)\n", "rules", cfg.Rules, loaded)
	p.printf("  %-9s %s\n", "store", store.Redacted(cfg.Store))
	for _, name := range unverified(cfg) {
		p.printf("%s the source %s is not verified: anybody who reaches %s can send bookings\n", p.stdout.paint("33", "warning:"), name, e.HookURL())
	}
}

// printFound prints what is wrong with a rule file of a running server, as check does. hide takes out secrets.
func (p *program) printFound(folder string, findings []text.Finding, hide func(string) string) {
	var text strings.Builder
	named := slices.Clone(findings)
	for i := range named {
		named[i].File = filepath.Join(folder, filepath.FromSlash(named[i].File))
	}
	p.printFindings(&output{w: &text, colour: p.stderr.colour}, named)
	_, _ = io.WriteString(p.stderr, hide(text.String()))
}

func (p *program) printStopped() { p.printf("Stopped.\n") }

// Init.

func (p *program) printWritten(path string, written bool) {
	if written {
		p.printf("wrote %s\n", path)
		return
	}
	p.printf("kept  %s, which existed already\n", path)
}

func (p *program) printNext(dir string) {
	p.printf(`
Next:
  %[1]s check%[2]s
  %[1]s test%[2]s
  %[1]s run%[2]s
and, while that runs, from another terminal:
  %[1]s send%[2]s %[3]s
  %[1]s deliveries list%[2]s
The rule in %[4]s is in shadow mode: it sends nothing. To let it send, remove its line "mode: shadow"; what it would have
sent before is sent with
  %[1]s deliveries retry%[2]s ID
and the same file again, as a booking of its own, with
  %[1]s send --new%[2]s %[3]s
`, p.name, flagFor(dir), quoted(filepath.Join(dir, filepath.FromSlash(sampleEvent))), filepath.Join(dir, "rules"))
}

// flagFor returns the flag with which a command uses the configuration in a folder.
func flagFor(dir string) string {
	if dir == "." {
		return ""
	}
	return " --config " + quoted(filepath.Join(dir, config.FileName))
}

// quoted puts a path into quotes where a shell needs them.
func quoted(path string) string {
	if strings.ContainsAny(path, " '\"$&|;<>()*?[]#~`!{}") {
		return strconv.Quote(path)
	}
	return path
}

// Sending.

func (p *program) printReceipt(r hook.Receipt) {
	p.printf("%s %s\n", clean(r.Event), clean(string(r.Status)))
}

// Events and deliveries.

func (p *program) printEvents(list admin.Events) {
	if len(list.Events) == 0 {
		p.printf("There are no such events.\n")
		return
	}
	var rows [][]string
	for i := range list.Events {
		e := &list.Events[i]
		rows = append(rows, []string{local(e.ReceivedAt), e.ID, clean(string(e.Status)), short(happened(e), 60), short(cmp.Or(e.Appointment, "-"), 40)})
	}
	p.table([]string{"RECEIVED", "EVENT", "STATUS", "HAPPENED", "APPOINTMENT"}, rows)
	p.printMore(list.Next)
}

// happened is what an event is about: the derived names, or its wire type if there are none.
func happened(e *record.Event) string {
	if len(e.On) > 1 {
		return strings.Join(e.On[1:], ", ")
	}
	return cmp.Or(e.Type, "unknown")
}

func (p *program) printMore(next string) {
	p.remark(len(next), "There are more: --all shows them, --before %s the next page.", clean(next))
}

func (p *program) printDeliveries(list admin.Deliveries) {
	if len(list.Deliveries) == 0 {
		p.printf("There are no such deliveries.\n")
		return
	}
	p.deliveryTable(list.Deliveries)
	p.printMore(list.Next)
}

func (p *program) deliveryTable(list []record.Delivery) {
	var rows [][]string
	for i := range list {
		d := &list[i]
		rows = append(rows, []string{
			local(d.Created), d.ID, string(d.State), short(cmp.Or(d.Rule, "-"), 40), itoa(d.Step), cmp.Or(d.Action, "-"), short(why(d), 80),
		})
	}
	p.table([]string{"CREATED", "DELIVERY", "STATE", "RULE", "STEP", "ACTION", "REASON"}, rows)
}

// why is a delivery's reason, or until when it waits.
func why(d *record.Delivery) string {
	switch {
	case d.State == record.Waiting:
		return "until " + zoned(d.Due)
	case d.Reason == decide.Closed:
		return d.Reason + ", at " + zoned(d.Due)
	}
	return d.Reason
}

func rendered(d *record.Delivery) bool { return len(d.Request) > 0 && string(d.Request) != "null" }

// field prints a name and its value on one line, unless the value is "".
func (p *program) field(name, value string) {
	if value != "" {
		p.printf("%s %s\n", p.stdout.dim(fmt.Sprintf("%-12s", name)), clean(value))
	}
}

func (p *program) printEvent(e *admin.Event) {
	p.field("event", e.ID)
	p.field("received", local(e.ReceivedAt))
	p.field("source", e.Source)
	p.field("location", e.Location)
	p.field("type", e.Type)
	p.field("webhook", e.WebhookID)
	p.field("appointment", e.Appointment)
	p.field("status", string(e.Status))
	p.field("happened", strings.Join(e.On, ", "))
	p.field("changed", strings.Join(e.Changed, ", "))
	p.printProblems(e.Problems)
	p.printf("\n%s\n", p.stdout.bold("body"))
	p.printf("%s\n", indent(clean(pretty(e.Body)), "  "))
	p.printf("\n%s\n", p.stdout.bold("deliveries"))
	if len(e.Deliveries) == 0 {
		p.printf("  none\n")
		return
	}
	p.deliveryTable(e.Deliveries)
}

// printProblems prints the parts of a payload that could not be read.
func (p *program) printProblems(list []rules.Problem) {
	for _, problem := range list {
		p.printf("%s %s\n", p.stdout.paint("33", "problem:"), clean(problem.String()))
	}
}

func (p *program) printDelivery(d *record.Delivery) {
	p.field("delivery", d.ID)
	p.field("event", d.Event)
	p.field("appointment", d.Appointment)
	p.field("location", d.Location)
	p.field("rule", fmt.Sprintf("%s, step %d", d.Rule, d.Step))
	p.field("action", d.Action)
	p.field("connection", d.Connection)
	p.field("state", string(d.State))
	p.field("reason", oneLine(d.Reason))
	p.field("created", local(d.Created))
	p.field("due", zoned(d.Due))
	if !d.Until.IsZero() {
		p.field("not after", zoned(d.Until))
	}
	if d.State == record.Waiting {
		p.printf("\nIt is rendered when it is due, with the appointment and the rule as they are then.\n")
	} else if rendered(d) {
		p.printf("\n%s\n", p.stdout.bold("what is sent"))
		p.printRequest(d.Request, "  ")
	}
	p.printf("\n%s\n", p.stdout.bold("attempts"))
	if len(d.Attempts) == 0 {
		p.printf("  none\n")
	}
	for i := range d.Attempts {
		p.printAttempt(i+1, &d.Attempts[i])
	}
}

func (p *program) printAttempt(n int, a *record.Attempt) {
	p.printf("  %d. %s  %s after %s\n", n, local(a.At), clean(a.Outcome), time.Duration(a.Millis)*time.Millisecond)
	line := func(name, text string) {
		if text != "" {
			p.printf("     %-9s %s\n", name, strings.TrimSpace(indent(clean(strings.TrimSpace(text)), "               ")))
		}
	}
	line("error", a.Error)
	line("status", a.Receipt.Status)
	line("id", a.Receipt.ID)
	line("accepted", strings.Join(a.Receipt.Accepted, ", "))
	for _, r := range a.Receipt.Refused {
		line("refused", r.Recipient+": "+r.Answer)
	}
	line("answer", a.Receipt.Body)
}

// printRequest prints a rendered request, key by key: texts as they are, other values as JSON.
func (p *program) printRequest(request json.RawMessage, margin string) {
	list, ok := pairs(request)
	if !ok {
		p.printf("%s%s\n", margin, clean(string(request)))
		return
	}
	for _, kv := range list {
		p.printPair(kv, margin)
	}
}

func (p *program) printPair(kv pair, margin string) {
	var text string
	var texts []string
	switch {
	case json.Unmarshal(kv.value, &text) == nil:
	case json.Unmarshal(kv.value, &texts) == nil:
		text = strings.Join(texts, ", ")
	default:
		text = pretty(kv.value)
	}
	text = strings.TrimRight(clean(text), "\n")
	if strings.Contains(text, "\n") {
		p.printf("%s%s:\n%s\n", margin, clean(kv.key), indent(text, margin+"  "))
	} else {
		p.printf("%s%s: %s\n", margin, clean(kv.key), text)
	}
}

func (p *program) printReplayed(added *admin.Deliveries) {
	if len(added.Deliveries) == 0 {
		p.printf("Nothing was added: what the current rules make of this event was enqueued before.\n")
		return
	}
	p.printf("%s added:\n", count(len(added.Deliveries), "delivery"))
	p.deliveryTable(added.Deliveries)
}

func (p *program) printChanged(d *record.Delivery, done string) {
	if d.State == record.Pending && !d.At.IsZero() && !rendered(d) {
		done = "is decided again now, with the appointment and the rule as they are"
	}
	p.printf("%s %s\n", clean(d.ID), done)
}

// pretty returns JSON on several lines, and other data as it is.
func pretty(data json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, bytes.TrimSpace(data), "", "  ") != nil {
		return string(data)
	}
	return b.String()
}

func indent(text, by string) string { return by + strings.ReplaceAll(text, "\n", "\n"+by) }

// Version.

func (p *program) printVersion(v buildInfo) {
	text := "bellhop " + v.Version
	if v.Commit != "" {
		text += " (" + v.Commit[:min(12, len(v.Commit))]
		if v.Modified {
			text += ", with changes"
		}
		text += ")"
	}
	p.printf("%s, %s, %s\n", text, v.Go, v.Platform)
}

// The demo.

func (p *program) printDemoStart(d *demo) {
	p.printf("%s\n", p.stdout.bold("Bellhop's demo: a server, its rules, and a mail server, a Slack and an API to send to, all on this machine."))
	p.printf("  %-9s %s (%s, %s)\n", "rules", d.cfg.Rules, count(len(d.engine.Files()), "file"), count(len(d.engine.Rules()), "rule"))
	p.printf("  %-9s %s\n", "webhooks", d.hook)
	p.printf("  %-9s %s/\n", "operators", d.engine.AdminURL())
}

func (p *program) printSample(n int, s sample, r hook.Receipt) {
	p.printf("\n%s %s\n", p.stdout.bold(fmt.Sprintf("%d. %s", n, s.title)), p.stdout.dim("("+s.file+")"))
	if r.Status == record.Duplicate {
		p.printf("   %s: this webhook was here before, nothing is sent twice\n", r.Status)
	}
}

func (p *program) printHappened(e *admin.Event) {
	p.printf("   what happened: %s\n", strings.Join(e.On, ", "))
}

func (p *program) printFired(rule string) { p.printf("   rule %s\n", p.stdout.bold(rule)) }

func (p *program) printArrived(m message) {
	for i, line := range m.lines {
		label := ""
		if i == 0 {
			label = m.sink
		}
		p.printf("     %-6s %s\n", label, short(line, 300))
	}
}

func (p *program) printNotSent(d *record.Delivery) {
	p.printf("     %-6s not sent, %s: %s\n", d.Action, p.stdout.state(d.State), short(d.Reason, 150))
	if d.State == record.Shadow {
		p.printRequest(d.Request, "            ")
	}
}

func (p *program) printWaiting(d *record.Delivery) {
	p.printf("     %-6s %s until %s\n", d.Action, p.stdout.state(d.State), zoned(d.Due))
}

// printFollowed shows what became of a delivery that has waited since an earlier event.
func (p *program) printFollowed(d *record.Delivery) {
	p.printf("   rule %s, since it was booked\n", p.stdout.bold(d.Rule))
	if d.State == record.Waiting {
		p.printf("     %-6s moved along: %s until %s\n", d.Action, p.stdout.state(d.State), zoned(d.Due))
	} else {
		p.printNotSent(d)
	}
}

func (p *program) printMissing(d *record.Delivery) {
	p.printf("     %-6s %s, but nothing arrived\n", d.Action, p.stdout.state(d.State))
}

func (p *program) printDemoSum(arrived, notSent, waiting int, took time.Duration) {
	p.printf("\n%s arrived, %d not sent for the reasons above, %d waiting, in %s.\n", count(arrived, "message"), notSent, waiting, took.Round(10*time.Millisecond))
}

func (p *program) printDemoTry(d *demo) {
	p.printf(`
%s Open %s/ or try, from another terminal:

  Change a rule, %s for one. It is in force within
  two seconds; a mistake is shown here, and the rule as it was goes on working.

  Send one more booking (with another id in the file, it is another one):
    %s send --url %s %s
  or
    curl -H 'Content-Type: application/json' --data-binary @%s %s

What arrives is shown here. Ctrl-C ends the demo and removes its files.

`, p.stdout.bold("It goes on running."), d.engine.AdminURL(), filepath.Join(d.cfg.Rules, "front-desk.yaml"),
		p.name, d.hook, quoted(d.event()), quoted(d.event()), d.hook)
}
