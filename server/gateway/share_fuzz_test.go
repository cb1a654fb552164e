package gateway

import (
	"bytes"
	"net/http"
	"testing"
)

func FuzzMessageOfAReplica(f *testing.F) {
	f.Add(message{Kind: isRequest, Exchange: "x", From: "r", Caller: []byte{1}, body: []byte("{}")}.encode())
	f.Add([]byte(`{"k":"piece"}`))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMessage(data)
		if err != nil {
			return
		}
		again, err := decodeMessage(m.encode())
		if err != nil || again.Kind != m.Kind || again.Exchange != m.Exchange || !bytes.Equal(again.body, m.body) {
			t.Errorf("%q became %+v, %v", data, again, err)
		}
	})
}

func FuzzSealedCaller(f *testing.F) {
	r := &Replica{}
	r.aead, _, _ = newSeals(make([]byte, keySize))
	other := &Replica{}
	other.aead, _, _ = newSeals(bytes.Repeat([]byte("k"), keySize))
	f.Add([]byte("ada"), "x", "/mcp?a=\xff", []byte("{}"))
	f.Fuzz(func(t *testing.T, caller []byte, exchange, uri string, body []byte) {
		m := message{Kind: isRequest, Exchange: passable(exchange), URI: passable(uri), Header: passedHeader(http.Header{"Accept": {uri}}), body: body}
		m.Caller = r.seal(caller, m)
		came, err := decodeMessage(m.encode())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.open(came); err != nil || !bytes.Equal(got, caller) {
			t.Errorf("%q came back as %q, %v", caller, got, err)
		}
		for what, forged := range map[string]message{
			"another body":     {Kind: isRequest, Exchange: came.Exchange, URI: came.URI, Header: came.Header, Caller: came.Caller, body: append(bytes.Clone(body), ' ')},
			"another exchange": {Kind: isRequest, Exchange: came.Exchange + "x", URI: came.URI, Header: came.Header, Caller: came.Caller, body: body},
			"another address":  {Kind: isRequest, Exchange: came.Exchange, URI: came.URI + "x", Header: came.Header, Caller: came.Caller, body: body},
			"no header":        {Kind: isRequest, Exchange: came.Exchange, URI: came.URI, Caller: came.Caller, body: body},
			"no seal":          {Kind: isRequest, Exchange: came.Exchange, URI: came.URI, Header: came.Header, Caller: caller, body: body},
		} {
			if got, err := r.open(forged); err == nil {
				t.Errorf("with %s %q is believed", what, got)
			}
		}
		if got, err := other.open(came); err == nil {
			t.Errorf("with another key %q is believed", got)
		}
	})
}
