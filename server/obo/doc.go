// Package obo is about credentials towards upstreams. What a caller came with
// never goes there: the server shows a credential of its own, or a token that
// the authority gave it for the caller (On-Behalf-Of).
//
// A [Source] gives the credential of one request: header fields from files, a
// token of this server's own application or managed identity, or one on behalf
// of the caller. [Transport] puts it into requests to one origin, and tries once
// more where the upstream rejects it. [Refusal] turns what went wrong into words
// and a status for the caller: who can sign in again is told how, and everybody
// else what to ask whom for.
package obo
