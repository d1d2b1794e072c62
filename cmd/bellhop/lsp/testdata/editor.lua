-- Drives Neovim's own language client through one session, and prints what it saw as one line of JSON each.
local server, file = vim.env.BELLHOP_SERVER, vim.env.BELLHOP_FILE
local function say(what, value)
  io.stdout:write(vim.json.encode({ what = what, value = value }) .. "\n")
end
local function fail(why)
  say("failed", why)
  vim.cmd("cquit 1")
end

vim.cmd("edit " .. vim.fn.fnameescape(file))
local buffer = vim.api.nvim_get_current_buf()
local id = vim.lsp.start_client({ name = "bellhop", cmd = { server, "lsp" }, root_dir = vim.fn.fnamemodify(file, ":h:h") })
if not id or not vim.lsp.buf_attach_client(buffer, id) then
  fail("the server did not start")
end

local function diagnostics(count)
  if not vim.wait(20000, function() return #vim.diagnostic.get(buffer) == count end, 10) then
    fail({ "diagnostics", vim.diagnostic.get(buffer) })
  end
  local list = {}
  for _, d in ipairs(vim.diagnostic.get(buffer)) do
    table.insert(list, { line = d.lnum, from = d.col, to = d.end_col, severity = d.severity, message = d.message, code = d.code, source = d.source })
  end
  return list
end

local function ask(method, params)
  local answers, err = vim.lsp.buf_request_sync(buffer, method, params, 20000)
  if not answers or not answers[id] or answers[id].error then
    fail({ method, err or answers })
  end
  return answers[id].result
end

local function at(line, character)
  return { textDocument = { uri = vim.uri_from_bufnr(buffer) }, position = { line = line, character = character } }
end

-- The mistake is seen, and its suggestion is put in place.
say("diagnostics", diagnostics(1))
local d = vim.diagnostic.get(buffer)[1]
local actions = ask("textDocument/codeAction", {
  textDocument = { uri = vim.uri_from_bufnr(buffer) },
  range = { start = { line = d.lnum, character = d.col }, ["end"] = { line = d.end_lnum, character = d.end_col } },
  context = { diagnostics = {} },
})
say("action", actions[1].title)
vim.lsp.util.apply_workspace_edit(actions[1].edit, "utf-16")
diagnostics(0)
say("line", vim.api.nvim_buf_get_lines(buffer, d.lnum, d.lnum + 1, true)[1])

-- Hover over a function and over keys.
say("hover", ask("textDocument/hover", at(3, 12)).contents.value)
say("hover", ask("textDocument/hover", at(5, 24)).contents.value)
say("hover", ask("textDocument/hover", at(6, 9)).contents.value)

-- A line is typed into a file that cannot be read meanwhile; what may follow is offered and taken.
vim.api.nvim_buf_set_lines(buffer, 5, 6, true, { '      - slack: { channel: "#desk", text: "Grüße 😀 {{ appointment.ti' })
diagnostics(1)
local text = vim.api.nvim_buf_get_lines(buffer, 5, 6, true)[1]
local list = ask("textDocument/completion", at(5, vim.str_utfindex(text, #text) + 1))
local title
for _, item in ipairs(list.items) do
  if item.label == "title" then title = item end
end
if not title then fail(list) end
say("completion", { count = #list.items, detail = title.detail })
vim.lsp.util.apply_text_edits({ title.textEdit }, buffer, "utf-16")
vim.api.nvim_buf_set_text(buffer, 5, #vim.api.nvim_buf_get_lines(buffer, 5, 6, true)[1], 5, #vim.api.nvim_buf_get_lines(buffer, 5, 6, true)[1], { ' }}" }' })
diagnostics(0)
say("line", vim.api.nvim_buf_get_lines(buffer, 5, 6, true)[1])

vim.lsp.stop_client(id)
if not vim.wait(20000, function() return vim.lsp.client_is_stopped(id) end, 10) then
  fail("the server does not stop")
end
say("done", true)
vim.cmd("qall!")
