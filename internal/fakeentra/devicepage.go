package fakeentra

import (
	"errors"
	"net/http"
)

// devicePage is where a person enters the code, RFC 8628 section 3.3. A GET
// with user_code (or otc, as Microsoft's page names it) shows who asks and the
// people to choose from; a POST with user_code and person approves, with
// action=decline declines. A script needs the POST alone.
func (x *exchange) devicePage() *Error {
	if err := x.sameOrigin(); err != nil {
		return err
	}
	userCode := x.form.Get("user_code")
	if userCode == "" {
		userCode = x.form.Get("otc")
	}
	if x.r.Method != http.MethodPost {
		return x.showDevice(userCode)
	}
	switch person := x.r.PostForm.Get("person"); {
	case x.r.PostForm.Get("action") == "decline":
		if err := x.s.DeclineDevice(userCode); err != nil {
			return x.showDevice(userCode)
		}
		return x.writePage(http.StatusOK, donePage{Heading: "Sign-in declined",
			Text: "The app was told that you declined. You may close this window."}, "")
	case person == "":
		return x.showDevice(userCode)
	default:
		return x.approveDevice(userCode, person)
	}
}

func (x *exchange) approveDevice(userCode, person string) *Error {
	_, found := x.s.deviceConsent(userCode)
	if found == nil {
		return x.showDevice(userCode)
	}
	if err := x.s.ApproveDevice(userCode, person); err != nil {
		if refusal, ok := errors.AsType[*Error](err); ok {
			return refusal
		}
		return errNoUser(person, x.s.domain)
	}
	return x.writePage(http.StatusOK, donePage{Heading: "You have signed in",
		Text: "You are signed in to " + found.App + " on your device as " + person + ". You may close this window."}, "")
}

// showDevice renders the form for the code, or the choice of people behind it.
func (x *exchange) showDevice(userCode string) *Error {
	if userCode == "" {
		return x.writePage(http.StatusOK, devicePage{}, "")
	}
	typed, found := x.s.deviceConsent(userCode)
	if found == nil {
		return x.writePage(http.StatusBadRequest, devicePage{UserCode: userCode, Wrong: true}, "")
	}
	return x.writePage(http.StatusOK, devicePage{UserCode: typed, Found: found}, "")
}

// deviceConsent finds a pending code and what approving it allows. It returns
// the code in its proper form, and nil if there is no such code.
func (s *Server) deviceConsent(userCode string) (string, *signInPage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.pendingDevice(userCode)
	if g == nil {
		return "", nil
	}
	client := s.dir.app(g.client)
	if client == nil {
		return "", nil
	}
	q, err := s.dir.parseScope(client, s.tenant, g.scope)
	if err != nil {
		return "", nil
	}
	page := s.consentPage(client, q)
	return g.userCode, &page
}
