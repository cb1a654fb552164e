package gateway

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// message is what one replica tells another of one HTTP exchange: the request,
// and the pieces of its answer.
type message struct {
	Kind     messageKind `json:"k"`
	Exchange string      `json:"x,omitempty"`
	From     string      `json:"from,omitempty"` // where the answer goes

	// Of a request.
	Scope  string `json:"scope,omitempty"`
	Method string `json:"m,omitempty"`
	Host   string `json:"host,omitempty"`
	URI    string `json:"uri,omitempty"`
	Caller []byte `json:"c,omitempty"` // sealed

	Header http.Header `json:"h,omitempty"` // of a request or an answer
	Status int         `json:"s,omitempty"`

	body []byte // follows the rest, as it is
}

type messageKind string

const (
	isThere   messageKind = "there"   // only to find out whether somebody listens
	isRequest messageKind = "request" // with its whole body
	isGone    messageKind = "gone"    // the client has left
	isMore    messageKind = "more"    // a piece was taken; another may be sent
	isHead    messageKind = "head"    // status and header
	isPiece   messageKind = "piece"   // of the answer's body
	isEnd     messageKind = "end"     // of the answer
	isBroken  messageKind = "broken"  // the answer has no end in order
)

func (m message) encode() []byte {
	head, _ := json.Marshal(m) // strings and bytes always marshal
	return append(append(head, '\n'), m.body...)
}

var errMessage = errors.New("a message of another replica can't be read")

func decodeMessage(data []byte) (message, error) {
	head, body, found := bytes.Cut(data, []byte{'\n'})
	var m message
	if !found || json.Unmarshal(head, &m) != nil {
		return message{}, errMessage
	}
	m.body = body
	return m, nil
}

// send reports whether the replica was there to hear it.
func (r *Replica) send(ctx context.Context, to string, m message) (bool, error) {
	n, err := r.store.Send(ctx, topic(to), m.encode())
	return n > 0, err
}

// lives reports whether a replica listens.
func (r *Replica) lives(ctx context.Context, replica string) (bool, error) {
	return r.send(ctx, replica, message{Kind: isThere})
}

const keySize = 32

// newSeals derives a key for each use from the one that replicas share.
func newSeals(key []byte) (callers cipher.AEAD, cursors []byte, err error) {
	if len(key) != keySize {
		return nil, nil, fmt.Errorf("gateway: the key that replicas share has %d bytes, not %d", len(key), keySize)
	}
	sealing, err := hkdf.Key(sha256.New, key, nil, "mcpctl callers", keySize)
	if err != nil {
		return nil, nil, err
	}
	if cursors, err = hkdf.Key(sha256.New, key, nil, "mcpctl cursors", keySize); err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, nil, err
	}
	callers, err = cipher.NewGCM(block)
	return callers, cursors, err
}

// seal hides the caller of a request from the store, and binds it to the request:
// who can write to the store can't have a caller ask for something else.
func (r *Replica) seal(caller []byte, request message) []byte {
	nonce := make([]byte, r.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return r.aead.Seal(nonce, nonce, caller, request.digest())
}

// open returns the caller of a request as it was sealed with it.
func (r *Replica) open(request message) ([]byte, error) {
	n := r.aead.NonceSize()
	if len(request.Caller) < n {
		return nil, errMessage
	}
	return r.aead.Open(nil, request.Caller[:n], request.Caller[n:], request.digest())
}

// digest stands for all of a request but its caller.
func (m message) digest() []byte {
	m.Caller = nil
	head, _ := json.Marshal(m) // as in encode
	sum := sha256.New()
	sum.Write(append(head, '\n'))
	sum.Write(m.body)
	return sum.Sum(nil)
}
