package actions

import (
	"net/http"
	"strings"
	"testing"
)

// TestErrorSaysWhatTheOtherSideSaid checks that an error begins with what the destination said, because lists show only
// the beginning.
func TestErrorSaysWhatTheOtherSideSaid(t *testing.T) {
	t.Parallel()
	long := "The value of the field phone " + strings.Repeat("is wrong and ", 30)
	for _, c := range []struct{ body, want string }{
		{`{"code":21211,"message":"The 'To' number is not a valid phone number","status":422}`, "The 'To' number is not a valid phone number"},
		{`{"error":"Phone is missing"}`, "Phone is missing"},
		{`{"error":{"code":"bad_phone","message":"Phone is missing"}}`, "Phone is missing"},
		{`{"errors":[{"message":"Phone is missing"},{"message":"Name is missing"}]}`, "Phone is missing"},
		{`{"errors":["Phone is missing"]}`, "Phone is missing"},
		{`{"errors":{"phone":["is missing"],"title":["is too long"]}}`, "phone: is missing"},
		{`{"message":["phone must be a phone number"],"error":"Unprocessable Entity","statusCode":422}`, "phone must be a phone number"},
		{`{"type":"about:blank","title":"Not a phone number","detail":"Phone 12 is too short","status":422}`, "Phone 12 is too short"},
		{`{"title":"Phone is missing"}`, "Phone is missing"},
		{`{"detail":[{"loc":["body","phone"],"msg":"field required","type":"value_error"}]}`, "field required"},
		{`[{"message":"Phone is missing","errorCode":"REQUIRED"}]`, "Phone is missing"},
		{`"Phone is missing"`, "Phone is missing"},
		{`{"error":"invalid_phone","error_description":"Phone is missing"}`, "Phone is missing"},
		{`{"error":"invalid_phone","message":""}`, "invalid_phone"},
		{"\ufeff Phone is\r\n\x1b[31m missing \u202e\x00", "Phone is [31m missing"},
		{`{"message":"Phone is\n\t missing\u0007"}`, "Phone is missing"},
		{`{"message":"No \u0073ecret-0f-the-crm, no phone"}`, "No [redacted], no phone"},
		{`{"message":"` + long + `"}`, strings.TrimSpace(long[:198]) + "…"},
		{long[:190] + "secret-0f-the-crm", long[:190] + "[redacted]"},
		// These say nothing that a person can read.
		{"", ""}, {"{}", ""}, {"422", ""}, {"null", ""}, {"...", ""}, {`{"ok":false,"code":12}`, ""},
		{"<html><body>Phone is missing</body></html>", ""}, {"  <?xml version='1.0'?><e>no</e>", ""}, {"oh <b>no</b>", ""},
		{`{"message":"Phone is mis`, ""}, {"Phone \xff\xfe", ""}, {strings.Repeat("Phone is missing. ", 100), ""},
		{"Unprocessable Entity", ""}, {`{"message":"422 Unprocessable Entity."}`, ""},
	} {
		srv, _ := answering(t, http.StatusUnprocessableEntity, nil, c.body)
		api := &HTTPAPI{URL: srv.URL, Bearer: "secret-0f-the-crm"}
		want := "POST " + srv.URL + ": the answer is 422 Unprocessable Entity"
		if c.want != "" {
			want = "422: " + c.want + " (POST " + srv.URL + ")"
		}
		if _, err := invoke(t, &HTTP{Path: "/x", Body: "x"}, api); err == nil || err.Error() != want || !Classify(err).Permanent {
			t.Errorf("%.80q: %v; want %s", c.body, err, want)
		}
	}
}

// TestEveryFailureSaysWhatTheOtherSideSaid checks the same for every way in which a destination can refuse.
func TestEveryFailureSaysWhatTheOtherSideSaid(t *testing.T) {
	t.Parallel()
	const said = `{"error":"invalid_client","error_description":"The desk is closed"}`
	for _, c := range []struct {
		status int
		expect []int
		oauth  bool
		want   string // %s is the server
	}{
		{503, nil, false, "503: The desk is closed (GET %s)"},
		{200, []int{201}, false, "200: The desk is closed (GET %s, which the step does not expect)"},
		{401, nil, true, "401: The desk is closed (fetching an OAuth2 token)"},
	} {
		srv, _ := answering(t, c.status, map[string]string{"Content-Type": "application/json"}, said)
		api := &HTTPAPI{URL: srv.URL}
		if c.oauth {
			api.OAuth2 = &OAuth2{TokenURL: srv.URL, ClientID: "a", ClientSecret: "client-secret"}
		}
		want := strings.ReplaceAll(c.want, "%s", srv.URL)
		if _, err := invoke(t, &HTTP{Path: "/", Expect: c.expect}, api); err == nil || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
	for _, c := range []struct {
		status           int
		body, api, wants string
	}{
		{200, `{"ok":false,"error":"invalid_blocks","response_metadata":{"messages":["[ERROR] must be shorter [json-pointer:/blocks/0]"]}}`, "/api",
			"posting to Slack: Slack says invalid_blocks: [ERROR] must be shorter [json-pointer:/blocks/0]"},
		{500, "try later", "/api", "500: try later (posting to Slack)"},
		{410, "channel is gone", "", "410: channel is gone (posting to Slack)"},
	} {
		srv, _ := answering(t, c.status, nil, c.body)
		access := &SlackAccess{Webhook: srv.URL + "/services/T0/B0/secret"}
		if c.api != "" {
			access = &SlackAccess{Token: "xoxb-1", API: srv.URL + c.api}
		}
		if _, err := post(t, &Slack{Channel: "C1", Text: "x"}, access); err == nil || err.Error() != c.wants {
			t.Errorf("%v; want %s", err, c.wants)
		}
	}
}
