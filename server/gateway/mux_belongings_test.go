package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// On a process that strangers share, a task is its owner's alone: in whichever of
// the owner's sessions, and for whichever method.
func TestMuxKeepsTasksToTheirOwner(t *testing.T) {
	withMux(t, true, func(s *muxScene) {
		ada, again, bob := s.attachAs("ada"), s.attachAs("ada"), s.attachAs("bob")
		s.send(ada, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"research","task":{"ttl":60000}}}`)
		s.next(s.upstream)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t-1","status":"working","ttl":60000}}}`)
		s.next(ada)
		attempts := []string{
			`"method":"tasks/get","params":{"taskId":"t-1"}`, `"method":"tasks/get","params":{"taskId":"t\u002d1"}`,
			`"method":"tasks/cancel","params":{"taskId":"t-1"}`, `"method":"tasks/result","params":{"taskId":"t-1"}`,
			`"method":"tasks/update","params":{"taskId":"t-1","inputResponses":{}}`, `"method":"vendor/inspect","params":{"taskId":"t-1"}`,
			`"method":"tools/call","params":{"name":"x","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t-1"}}}`,
			`"method":"subscriptions/listen","params":{"notifications":{"taskIds":["t-1"]}}`, `"method":"subscriptions/listen","params":{"notifications":{"taskIds":"t-1"}}`,
			`"method":"tasks/get","params":{"taskId":"unheard of"}`, `"method":"tasks/get","params":{"taskId":["t-1"]}`,
		}
		for _, attempt := range attempts {
			s.send(bob, `{"jsonrpc":"2.0","id":9,`+attempt+`}`)
			if got := s.next(bob); !strings.Contains(got, `"id":9,"error":{"code":-32602`) {
				t.Errorf("%s: bob got %s", attempt, got)
			}
		}
		for _, attempt := range []string{
			`"method":"tasks/get","params":{"taskId":"bobs","taskId":"t-1"}`, `"method":"tasks/get","params":{"TaskId":"t-1"}`,
			`"method":"resources/unsubscribe","params":{"uri":"bobs:","URI":"adas:"}`,
		} {
			s.send(bob, `{"jsonrpc":"2.0","id":9,`+attempt+`}`)
			if got := s.next(bob); !strings.Contains(got, `"id":9,"error":{"code":-32600`) {
				t.Errorf("%s: bob got %s", attempt, got)
			}
		}
		s.send(bob, `{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t-1","status":"cancelled"}}`)
		s.nothing(s.upstream)
		for i, attempt := range attempts[:8] {
			s.send(again, `{"jsonrpc":"2.0","id":9,`+attempt+`}`)
			if got, want := s.next(s.upstream), fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,%s}`, i+2, attempt); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			s.send(s.upstream, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, i+2))
			s.next(again)
		}
	})
}

func TestMuxTellsOfTasksTheirOwnerOnly(t *testing.T) {
	withMux(t, true, func(s *muxScene) {
		ada, again, bob := s.attachAs("ada"), s.attachAs("ada"), s.attachAs("bob")
		s.send(ada, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"research"}}`)
		s.next(s.upstream)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"t-1","ttlMs":60000}}`)
		s.next(ada)
		const status = `{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t-1","status":"completed"}}`
		s.send(s.upstream, status)
		s.send(s.upstream, `{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t-2","status":"completed"}}`)
		s.gets(ada, status)
		s.gets(again, status)
		s.nothing(ada, again, bob)
	})
}

// What clients that are nobody's have is each one's own.
func TestMuxKeepsTasksOfNobodyApart(t *testing.T) {
	withMux(t, true, func(s *muxScene) {
		a, b := s.attach(), s.attach()
		s.send(a, `{"jsonrpc":"2.0","id":1,"method":"tools/call"}`)
		s.next(s.upstream)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t-1"}}}`)
		s.next(a)
		s.send(b, `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t-1"}}`)
		if got := s.next(b); !strings.Contains(got, "-32602") {
			t.Errorf("got %s", got)
		}
	})
}

// A task's id is forgotten when its time is over, or the upstream knows it no
// more; its owner's questions go on renewing it.
func TestMuxForgetsTasks(t *testing.T) {
	withMux(t, true, func(s *muxScene) {
		ada := s.attachAs("ada")
		exchange := func(id int, request, answer string) {
			t.Helper()
			s.send(ada, `{"jsonrpc":"2.0","id":1,`+request+`}`)
			s.next(s.upstream)
			s.send(s.upstream, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,%s}`, id, answer))
			s.next(ada)
		}
		refused := func(id string) {
			t.Helper()
			s.send(ada, `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"`+id+`"}}`)
			if got := s.next(ada); !strings.Contains(got, "no such task") {
				t.Errorf("got %s", got)
			}
			s.nothing(s.upstream)
		}
		exchange(1, `"method":"tools/call"`, `"result":{"task":{"taskId":"t-1","ttl":60000}}`)
		time.Sleep(50 * time.Second)
		exchange(2, `"method":"tasks/get","params":{"taskId":"t-1"}`, `"result":{"taskId":"t-1","status":"completed","ttl":60000}`)
		time.Sleep(50 * time.Second)
		exchange(3, `"method":"tasks/result","params":{"taskId":"t-1"}`, `"result":{"content":[]}`)
		time.Sleep(11 * time.Second)
		refused("t-1")
		exchange(4, `"method":"tools/call"`, `"result":{"task":{"taskId":"t-2","ttl":null}}`)
		time.Sleep(time.Hour)
		exchange(5, `"method":"tasks/cancel","params":{"taskId":"t-2"}`, `"error":{"code":-32602,"message":"there is none"}`)
		refused("t-2")
		if n := len(s.mux.theirs.owners) + len(s.mux.theirs.whose); n != 0 {
			t.Errorf("%d are remembered", n)
		}
	})
}

func TestMuxKeepsStatesToTheirOwner(t *testing.T) {
	withMux(t, true, func(s *muxScene) {
		ada, bob := s.attachAs("ada"), s.attachAs("bob")
		s.send(ada, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`)
		s.next(s.upstream)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"s-1","inputRequests":{}}}`)
		s.next(ada)
		const round = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x","requestState":"s-1"}}`
		s.send(bob, round)
		if got := s.next(bob); !strings.Contains(got, `"id":2,"error":{"code":-32602`) {
			t.Errorf("bob got %s", got)
		}
		s.nothing(s.upstream)
		s.send(ada, round)
		s.gets(s.upstream, round)
		// One from before this process is the upstream's to judge.
		s.send(bob, strings.Replace(round, "s-1", "older", 1))
		s.gets(s.upstream, strings.NewReplacer("s-1", "older", `"id":2`, `"id":3`).Replace(round))
	})
}

func TestBelongingsAreBounded(t *testing.T) {
	b, now := newBelongings(), time.Unix(0, 0)
	has := func(owner string, n int) bool {
		got, known := b.owner(taskOf(fmt.Sprint(owner, n)), now)
		return known && got == owner
	}
	keep := func(owner string, n int) {
		b.keep(taskOf(fmt.Sprint(owner, n)), owner, now, now.Add(time.Hour+time.Duration(n)))
	}
	keep("ada", 0)
	for n := range 2 * maxBelongingsOfOwner {
		keep("bob", n)
	}
	if !has("ada", 0) || has("bob", maxBelongingsOfOwner-1) || !has("bob", maxBelongingsOfOwner) || len(b.owners["bob"]) != maxBelongingsOfOwner {
		t.Errorf("one owner has %d", len(b.owners["bob"]))
	}
	for owner := range 2 * maxBelongings / maxBelongingsOfOwner {
		for n := range maxBelongingsOfOwner {
			keep(fmt.Sprint("crowd-", owner), n)
		}
	}
	if len(b.whose) != maxBelongings || !has("ada", 0) {
		t.Errorf("%d are remembered; ada's only one: %v", len(b.whose), has("ada", 0))
	}
	b.keep(taskOf("ada0"), "bob", now, now.Add(time.Hour))
	if !has("ada", 0) {
		t.Error("what was ada's became bob's")
	}
	now = now.Add(2 * time.Hour)
	if has("ada", 0) {
		t.Error("remembered for too long")
	}
}
