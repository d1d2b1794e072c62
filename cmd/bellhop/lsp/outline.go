package lsp

import (
	"slices"
	"strconv"
	"strings"
)

// An outline is the structure of a rule file or test file, as far as its lines show it. The file need not be valid
// YAML, because people ask for help while a quote is open or a line is half written.
type outline struct {
	text  string
	nodes []node
}

// A node is a key with its value, an item of a list, or a word where a key belongs.
type node struct {
	path   path
	bare   bool // a word where a key belongs; path is that of the map
	key    span // the key as written; empty for items of lists
	value  span // the value without quotes, block header and comment
	style  byte // of the value: 0 nothing on this line, p plain, " ' quoted, | block, { or [ in brackets
	nested bool // the value can be a map: it is on a line of its own, or after the - of a list
}

// A span is a range of bytes, from one offset to another.
type span struct{ from, to int }

func (s span) has(offset int) bool { return s.from <= offset && offset <= s.to && s.from < s.to }

// A path leads from the top to a value. It has the keys and the numbers of the list items, from 0.
type path []string

func (p path) with(name string) path { return append(p[:len(p):len(p)], name) }

func (p path) parent() path {
	if len(p) == 0 {
		return p
	}
	return p[:len(p)-1]
}

// keysBelow returns the keys of the map at p.
func (o *outline) keysBelow(p path) []string {
	var keys []string
	for _, n := range o.nodes {
		if !n.bare && n.key.to > n.key.from && slices.Equal(n.path.parent(), p) {
			keys = append(keys, n.path[len(n.path)-1])
		}
	}
	return keys
}

// A scanner makes an outline, line by line.
type scanner struct {
	text  string
	pos   int
	stack []frame
	nodes []node
}

// A frame is a map or a list that lines further down can add to.
type frame struct {
	column  int
	list    bool
	path    path
	items   int
	pending path // the path of the value that deeper lines belong to
	awaits  bool // nothing of the value at pending was read yet
}

// maxDepth is how deep nested lists and maps are read. Rule files are far less deep.
const maxDepth = 100

func outlineOf(text string) *outline {
	s := &scanner{text: text, pos: len(text) - len(strings.TrimPrefix(text, "\ufeff"))}
	for s.pos < len(s.text) {
		from := s.pos
		s.line()
		if s.pos <= from {
			s.pos = s.nextLine(from)
		}
	}
	return &outline{text, s.nodes}
}

func (s *scanner) at(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return '\n'
}

// lineEnd returns where the line of i ends, without its line break.
func (s *scanner) lineEnd(i int) int {
	end := len(s.text)
	if n := strings.IndexByte(s.text[i:], '\n'); n >= 0 {
		end = i + n
	}
	if end > i && s.text[end-1] == '\r' {
		end--
	}
	return end
}

func (s *scanner) nextLine(i int) int {
	if n := strings.IndexByte(s.text[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(s.text)
}

func (s *scanner) skipBlanks(i int) int {
	for s.at(i) == ' ' || s.at(i) == '\t' {
		i++
	}
	return i
}

func (s *scanner) ended(i int) bool {
	c := s.at(i)
	return c == '\n' || c == '\r'
}

// sign reports whether the byte at i is a sign of YAML, a dash or a colon, with a blank or nothing behind it.
func (s *scanner) sign(i int, sign byte) bool {
	return s.at(i) == sign && (s.ended(i+1) || s.at(i+1) == ' ' || s.at(i+1) == '\t')
}

func (s *scanner) top() *frame {
	if len(s.stack) == 0 {
		return nil
	}
	return &s.stack[len(s.stack)-1]
}

// line reads one line, and the lines below it that belong to its value.
func (s *scanner) line() {
	start := s.pos
	i := s.skipBlanks(start)
	if s.ended(i) || s.text[i] == '#' || strings.HasPrefix(s.text[start:], "---") || strings.HasPrefix(s.text[start:], "...") {
		s.pos = s.nextLine(start)
		return
	}
	column := i - start
	for top := s.top(); top != nil && (top.column > column || top.column == column && top.list && !s.sign(i, '-')); top = s.top() {
		s.stack = s.stack[:len(s.stack)-1]
	}
	s.content(i, column, nil)
}

// content reads what is at i, in a column. item is the path of the list item whose - is before it, nil if there is none.
func (s *scanner) content(i, column int, item path) {
	base := func() path {
		if item != nil {
			return item
		}
		if top := s.top(); top != nil {
			top.awaits = false
			return top.pending
		}
		return path{}
	}
	if s.sign(i, '-') && len(s.stack) < maxDepth {
		top := s.top()
		if item != nil || top == nil || !top.list || top.column != column {
			s.stack = append(s.stack, frame{column: column, list: true, path: base()})
			top = s.top()
		}
		own := top.path.with(strconv.Itoa(top.items))
		top.items++
		top.pending, top.awaits = own, false
		next := s.skipBlanks(i + 1)
		if s.ended(next) || s.at(next) == '#' {
			top.awaits = true
			s.pos = s.nextLine(i)
			return
		}
		s.content(next, column+next-i, own)
		return
	}
	if key, colon, ok := s.key(i, s.lineEnd(i)); ok && len(s.stack) < maxDepth {
		top := s.top()
		if item != nil || top == nil || top.list || top.column != column {
			s.stack = append(s.stack, frame{column: column, path: base()})
			top = s.top()
		}
		top.pending = top.path.with(unquote(s.text[key.from:key.to]))
		top.awaits = false
		n := node{path: top.pending, key: key}
		v := s.properties(colon + 1)
		if s.ended(v) || s.at(v) == '#' {
			top.awaits = true
			n.value = span{colon + 1, colon + 1}
			s.nodes = append(s.nodes, n)
			s.pos = s.nextLine(colon)
			return
		}
		s.value(v, column, n)
		return
	}
	switch top := s.top(); {
	case item != nil:
		s.value(s.properties(i), top.column, node{path: item, nested: true})
	case top == nil || top.column == column && !top.list:
		n := node{bare: true, path: path{}, value: span{i, s.lineEnd(i)}}
		if top != nil {
			n.path = top.path
		}
		s.nodes = append(s.nodes, n)
		s.pos = s.nextLine(i)
	case top.awaits:
		top.awaits = false
		s.value(s.properties(i), top.column, node{path: top.pending, nested: true})
	default:
		s.pos = s.nextLine(i)
	}
}

// key finds a key at i. It returns the key as written, and the offset of its colon.
func (s *scanner) key(i, end int) (key span, colon int, ok bool) {
	from := i
	switch c := s.at(i); c {
	case '"', '\'':
		closing := strings.IndexByte(s.text[i+1:end], c)
		if closing < 0 {
			return span{}, 0, false
		}
		to := i + 1 + closing + 1
		colon = s.skipBlanks(to)
		return span{from, to}, colon, s.sign(colon, ':')
	case '{', '[', '#', '|', '>', '%', '@', '`', ']', '}', ',':
		return span{}, 0, false
	}
	for ; i < end; i++ {
		if s.text[i] == '#' && i > from && (s.text[i-1] == ' ' || s.text[i-1] == '\t') {
			return span{}, 0, false
		}
		if s.sign(i, ':') {
			to := from + len(strings.TrimRight(s.text[from:i], " \t"))
			return span{from, to}, i, to > from
		}
	}
	return span{}, 0, false
}

// properties skips blanks, an anchor and a tag, and returns where the value begins.
func (s *scanner) properties(i int) int {
	i = s.skipBlanks(i)
	for (s.at(i) == '&' || s.at(i) == '!') && s.at(i+1) != '(' {
		for !s.ended(i) && s.at(i) != ' ' && s.at(i) != '\t' {
			i++
		}
		i = s.skipBlanks(i)
	}
	return i
}

// value reads the value at i, with the deeper lines that belong to it. n is its key or list item, in a column.
func (s *scanner) value(i, column int, n node) {
	switch c := s.at(i); {
	case c == '|' || c == '>':
		n.style = '|'
		n.value = span{s.nextLine(i), s.nextLine(i)}
		s.deeper(i, column, func(first int) bool {
			n.value.to = s.lineEnd(first)
			return true
		})
		s.nodes = append(s.nodes, n)
	case (c == '"' || c == '\'') && !s.startsExpression(i):
		n.style = c
		var next int
		n.value, next = s.quoted(i, column)
		s.nodes = append(s.nodes, n)
		s.pos = s.nextLine(next)
	case c == '[' || c == '{' && s.at(i+1) != '{':
		f := flow{scanner: s, column: column}
		end := f.collection(i, n)
		s.pos = s.nextLine(end)
		if f.stopped {
			s.pos = end
		}
	default:
		n.style = 'p'
		n.value = span{i, s.plainEnd(i)}
		s.deeper(i, column, func(first int) bool {
			if _, _, isKey := s.key(first, s.lineEnd(first)); isKey || s.at(first) == '#' {
				return false
			}
			n.value.to = s.plainEnd(first)
			return true
		})
		s.nodes = append(s.nodes, n)
	}
}

// deeper reads the lines below that of i that are deeper than the column, as long as belongs says yes of where the text
// of one begins. It skips empty lines.
func (s *scanner) deeper(i, column int, belongs func(first int) bool) {
	for s.pos = s.nextLine(i); s.pos < len(s.text); s.pos = s.nextLine(s.pos) {
		if first := s.skipBlanks(s.pos); !s.ended(first) && (first-s.pos <= column || !belongs(first)) {
			return
		}
	}
}

// plainEnd returns where an unquoted text ends on its line.
func (s *scanner) plainEnd(i int) int {
	end := s.lineEnd(i)
	for j := i + 1; j < end; j++ {
		if s.text[j] == '#' && (s.text[j-1] == ' ' || s.text[j-1] == '\t') {
			end = j
		}
	}
	return i + len(strings.TrimRight(s.text[i:end], " \t"))
}

// quoted reads a text in quotes. It returns the text between the quotes, and where to read on. If the quote is not
// closed before the next line that is not deep enough, the text ends with its first line.
func (s *scanner) quoted(i, column int) (inner span, next int) {
	quote := s.text[i]
	for j := i + 1; j < len(s.text); j++ {
		switch c := s.text[j]; {
		case c == '\\' && quote == '"':
			if !s.ended(j + 1) {
				j++
			}
		case c == quote && quote == '\'' && s.at(j+1) == '\'':
			j++
		case c == quote:
			return span{i + 1, j}, j + 1
		case c == '\n':
			next, leaves := s.leaves(j+1, column)
			if leaves {
				end := s.lineEnd(i)
				return span{i + 1, end}, end
			}
			j = next - 1
		}
	}
	end := s.lineEnd(i)
	return span{i + 1, end}, end
}

// startsExpression says whether the quoted text at i begins a condition that lacks its own quotes, such as
// "booked" in on.
func (s *scanner) startsExpression(i int) bool {
	end := s.lineEnd(i)
	closing := closingQuote(s.text[:end], i)
	if closing < 0 {
		return false
	}
	rest := strings.TrimSpace(s.text[closing+1 : end])
	return rest != "" && rest[0] != '#' && rest[0] != s.text[i]
}

// leaves finds the next line that is not empty, and says whether it is not deeper than the column.
func (s *scanner) leaves(i, column int) (next int, leaves bool) {
	for i < len(s.text) {
		first := s.skipBlanks(i)
		if !s.ended(first) {
			return first, first-i <= column
		}
		i = s.nextLine(i)
	}
	return i, true
}

// A flow reads a map or list in brackets.
type flow struct {
	*scanner
	column  int
	stopped bool // reading stopped at a line that is not deep enough to belong to it
	depth   int
}

// collection reads a map or list that begins with { or [ at i, and returns where it ended. If it stops at a line that
// does not belong to it, before the closing bracket, it sets stopped.
func (f *flow) collection(i int, n node) int {
	f.depth++
	defer func() { f.depth-- }()
	n.style = f.text[i]
	closing := n.style + 2 // "]" for "[", "}" for "{"
	index := len(f.nodes)
	f.nodes = append(f.nodes, n)
	from, items := i, 0
	i++
	for i = f.space(i); i < len(f.text) && !f.stopped; i = f.space(i) {
		switch c := f.text[i]; {
		case c == closing:
			f.nodes[index].value = span{from, i + 1}
			return i + 1
		case c == ',':
			i++
		case c == ']' || c == '}': // this closes the bracket around this one
			f.nodes[index].value = span{from, i}
			return i
		case closing == ']':
			i = f.item(i, node{path: n.path.with(strconv.Itoa(items)), nested: true})
			items++
		default:
			i = f.pair(i, n.path)
		}
	}
	f.nodes[index].value = span{from, i}
	return i
}

// pair reads a key with its value, or a word where a key belongs, and returns where it ended. of is the path of the map.
func (f *flow) pair(i int, of path) int {
	var key span
	end := i
	if c := f.text[i]; c == '"' || c == '\'' {
		_, end = f.quoted(i, f.column)
		key = span{i, end}
	} else {
		for !f.ended(end) && !f.isOneOf(end, ",{}[]") && !(f.at(end) == ':' && (f.ended(end+1) || f.isOneOf(end+1, " \t,]}"))) {
			end++
		}
		key = span{i, i + len(strings.TrimRight(f.text[i:end], " \t"))}
	}
	colon := f.skipBlanks(end)
	if f.at(colon) != ':' {
		if end == i {
			end++ // a bracket that does not belong here
		}
		f.nodes = append(f.nodes, node{bare: true, path: of, value: key})
		return end
	}
	n := node{path: of.with(unquote(f.text[key.from:key.to])), key: key}
	v := f.space(colon + 1)
	if f.stopped || v >= len(f.text) || f.isOneOf(v, ",]}") {
		n.value = span{colon + 1, colon + 1}
		f.nodes = append(f.nodes, n)
		return v
	}
	return f.item(v, n)
}

func (f *flow) isOneOf(i int, set string) bool { return strings.IndexByte(set, f.at(i)) >= 0 }

// item reads one value, and returns where it ended.
func (f *flow) item(i int, n node) int {
	i = f.properties(i)
	switch c := f.at(i); {
	case c == '"' || c == '\'':
		n.style = c
		var next int
		n.value, next = f.quoted(i, f.column)
		f.nodes = append(f.nodes, n)
		return next
	case (c == '{' || c == '[') && (c == '[' || f.at(i+1) != '{') && f.depth < maxDepth:
		return f.collection(i, n)
	}
	n.style = 'p'
	end := i
	for !f.ended(end) && !f.isOneOf(end, ",]}") {
		if strings.HasPrefix(f.text[end:], "{{") { // a template that has no quotes yet
			if closing := strings.Index(f.text[end:f.lineEnd(end)], "}}"); closing >= 0 {
				end += closing + 2
				continue
			}
			end = f.lineEnd(end)
			break
		}
		end++
	}
	n.value = span{i, i + len(strings.TrimRight(f.text[i:end], " \t"))}
	f.nodes = append(f.nodes, n)
	return max(end, i)
}

// space skips blanks, line breaks and comments. It stops at a line that is not deep enough, and sets stopped.
func (f *flow) space(i int) int {
	for i < len(f.text) {
		switch c := f.text[i]; {
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '#':
			i = f.lineEnd(i)
		case c == '\n':
			first := f.skipBlanks(i + 1)
			if !f.ended(first) && first-i-1 <= f.column && !f.isOneOf(first, "]}") {
				f.stopped = true
				return i + 1
			}
			i++
		default:
			return i
		}
	}
	return i
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == s[len(s)-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : len(s)-1]
	}
	return s
}

// marker is put into a text at the cursor before its outline is made, so that there is a word at the cursor.
const marker = "\uE000"

// A place says where the cursor is in the structure of a file.
type place struct {
	path          path
	key           bool   // a key of the map at path belongs here
	nested        bool   // the value at path can be a map, so that a key can belong here
	colon         bool   // the key has its colon already
	before, after string // the unescaped parts, before and after the cursor, of the text that it is in
	outline       *outline
}

// placeAt finds where the cursor is. It returns false in a comment, or where there is neither a key nor a value.
func placeAt(text string, offset int) (place, bool) {
	return findPlace(outlineOf(text[:offset]+marker+text[offset:]), offset, len(marker))
}

// findPlace finds the place at offset in an outline. width is the length of the marker at the cursor, 0 if there is
// none.
func findPlace(o *outline, offset, width int) (place, bool) {
	for i := len(o.nodes) - 1; i >= 0; i-- {
		n := o.nodes[i]
		cut := func(s span, style byte) (before, after string) {
			return readAs(style, o.text[s.from:offset]), readAs(style, o.text[min(offset+width, s.to):s.to])
		}
		switch {
		case n.key.has(offset):
			p := place{path: n.path.parent(), key: true, colon: true, outline: o}
			p.before, p.after = cut(n.key, 0)
			return p, true
		case n.style == '{' || n.style == '[':
		case n.value.has(offset):
			p := place{path: n.path, key: n.bare, nested: n.nested, outline: o}
			p.before, p.after = cut(n.value, n.style)
			return p, true
		}
	}
	return place{}, false
}

// readAs undoes the escapes of a quoted text, as far as expressions need it.
func readAs(style byte, s string) string {
	switch style {
	case '"':
		return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\t`, "\t").Replace(s)
	case '\'':
		return strings.ReplaceAll(s, "''", "'")
	}
	return s
}
