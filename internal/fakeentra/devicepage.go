package fakeentra

import "net/http"

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
	app := ""
	x.s.mu.Lock()
	if g := x.s.pendingDevice(userCode); g != nil {
		if client := x.s.dir.app(g.client); client != nil {
			app = client.Name
		}
	}
	x.s.mu.Unlock()
	if app == "" {
		return x.showDevice(userCode)
	}
	switch err := x.s.ApproveDevice(userCode, person).(type) {
	case nil:
		return x.writePage(http.StatusOK, donePage{Heading: "You have signed in",
			Text: "You are signed in to " + app + " on your device as " + person + ". You may close this window."}, "")
	case *Error:
		return err
	default:
		return failure("invalid_request", 50034, "The user account '%s' does not exist in the %s directory.", person, x.s.domain)
	}
}

// showDevice renders the form for the code, or the choice of people behind it.
func (x *exchange) showDevice(userCode string) *Error {
	if userCode == "" {
		return x.writePage(http.StatusOK, devicePage{}, "")
	}
	page, status := devicePage{UserCode: userCode}, http.StatusOK
	x.s.mu.Lock()
	if g := x.s.pendingDevice(userCode); g != nil {
		if client := x.s.dir.app(g.client); client != nil {
			if q, err := x.s.dir.parseScope(client, x.s.tenant, g.scope); err == nil {
				found := x.s.consentPage(client, q)
				page.UserCode, page.Found = g.userCode, &found
			}
		}
	}
	x.s.mu.Unlock()
	if page.Found == nil {
		page.Wrong, status = true, http.StatusBadRequest
	}
	return x.writePage(status, page, "")
}
