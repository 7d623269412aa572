package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"sync"
	"time"

	aj "github.com/choria-io/asyncjobs"
	"github.com/nats-io/nats.go"

	"jetq.example/golden/local"
)

// seed makes the signing key of the golden files; the tests know the same 32 bytes.
const seed = "a golden seed of thirty-two byte"

// signed returns records as a client with a signing key stores them.
func signed() map[string][]byte {
	key := ed25519.NewKeyFromSeed([]byte(seed))
	nc, stop := local.Serve()
	defer stop()
	client := connect(nc, &aj.Queue{Name: "EMAIL"}, aj.TaskSigningKey(key))
	made := map[string][]byte{}
	for name, t := range map[string]*aj.Task{
		"signed":                task(mail),
		"signed_no_payload":     task(nil),
		"signed_empty_object":   task(map[string]any{}),
		"signed_awkward":        task(map[string]any{"text": awkward}),
		"signed_bytes":          task(mail, aj.TaskPayloadEncoder(raw)),
		"signed_json_in_string": task(`{"to":"a@b.c"}`),
		"signed_unlimited":      task(mail, aj.TaskMaxTries(-1)),
		"signed_deadline":       task(mail, aj.TaskDeadline(created.Add(time.Hour).In(time.FixedZone("", 3600)))),
		"signed_deadline_9":     task(mail, aj.TaskDeadline(created.Truncate(time.Second).Add(time.Hour-1))),
		"signed_deadline_7":     task(nil, aj.TaskDeadline(created.Truncate(time.Second).Add(100))),
		"signed_deadline_whole": with(task(mail, aj.TaskDeadline(created.Truncate(time.Second))), at(created.Truncate(time.Second))),
		"signed_never":          with(task(mail), at(time.Time{})),
	} {
		t.ID = strings.ReplaceAll(name, "_", "-")
		check(client.EnqueueTask(context.Background(), t))
		made[name] = compact(t)
	}
	return made
}

// lives returns every message that asyncjobs published while tasks of each kind of end ran, one JSON line a message.
func lives() []byte {
	nc, stop := local.Serve()
	defer stop()
	client := connect(nc, &aj.Queue{Name: "EMAIL"}, aj.RetryBackoffPolicy(soon{}))
	seen := record(nc)

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { check(client.Run(ctx, router())) })
	parent := enqueue(client, "ok", map[string]any{"name": awkward})
	enqueue(client, "fails-once", nil)
	bad := enqueue(client, "terminates", nil)
	enqueue(client, "fails", nil, aj.TaskMaxTries(1))
	enqueue(client, "late", nil, aj.TaskDeadline(time.Now().Add(-time.Second)))
	await(client, parent, aj.TaskStateCompleted)
	await(client, bad, aj.TaskStateTerminated)
	load := aj.TaskRequiresDependencyResults()
	await(client, enqueue(client, "ok", nil, aj.TaskDependsOnIDs(parent), load), aj.TaskStateCompleted)
	await(client, enqueue(client, "ok", nil, aj.TaskDependsOnIDs(bad), load), aj.TaskStateUnreachable)

	full := connect(nc, &aj.Queue{Name: "FULL", MaxEntries: 1})
	enqueue(full, "ok", nil)
	refused, err := aj.NewTask("ok", nil)
	check(err)
	if full.EnqueueTask(ctx, refused) == nil {
		log.Fatal("the queue FULL took two tasks")
	}
	storage := client.ScheduledTasksStorage()
	check(storage.PublishLeaderElectedEvent(ctx, "host-1", "task_scheduler"))
	check(client.NewScheduledTask("nightly", "0 3 * * *", "EMAIL", task(mail)))
	seen.wait("fails-once", aj.TaskStateCompleted)
	seen.wait("fails", aj.TaskStateExpired)
	seen.wait("late", aj.TaskStateExpired)
	cancel()
	running.Wait()
	check(nc.Flush())
	return seen.lines()
}

func router() *aj.Mux {
	mux := aj.NewTaskRouter()
	handle := func(kind string, f aj.HandlerFunc) { check(mux.HandleFunc(kind, f)) }
	handle("ok", func(_ context.Context, _ aj.Logger, t *aj.Task) (any, error) {
		return map[string]any{"name": awkward, "parents": len(t.DependencyResults)}, nil
	})
	handle("fails-once", func(_ context.Context, _ aj.Logger, t *aj.Task) (any, error) {
		if t.Tries > 1 {
			return nil, nil
		}
		return nil, errors.New(awkward)
	})
	handle("fails", func(context.Context, aj.Logger, *aj.Task) (any, error) { return nil, errors.New("no luck") })
	handle("terminates", func(context.Context, aj.Logger, *aj.Task) (any, error) {
		return nil, fmt.Errorf("hopeless: %w", aj.ErrTerminateTask)
	})
	return mux
}

// soon is a retry policy that does not keep anybody waiting.
type soon struct{}

func (soon) Duration(int) time.Duration { return 10 * time.Millisecond }

func connect(nc *nats.Conn, queue *aj.Queue, opts ...aj.ClientOpt) *aj.Client {
	queue.MaxRunTime = time.Second
	client, err := aj.NewClient(append(opts, aj.NatsConn(nc), aj.MemoryStorage(), aj.WorkQueue(queue))...)
	check(err)
	return client
}

func enqueue(client *aj.Client, kind string, payload any, opts ...aj.TaskOpt) string {
	t, err := aj.NewTask(kind, payload, opts...)
	check(err)
	check(client.EnqueueTask(context.Background(), t))
	return t.ID
}

func await(client *aj.Client, id string, state aj.TaskState) {
	for range 1000 {
		t, err := client.LoadTaskByID(id)
		check(err)
		if t.State == state {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	log.Fatalf("task %s did not become %s", id, state)
}

// recording is every message of the namespace in the order of its publication.
type recording struct {
	mu       sync.Mutex
	messages []message
}

type message struct {
	Subject string `json:"subject"`
	Data    string `json:"data"`
}

func record(nc *nats.Conn) *recording {
	r := &recording{}
	for _, subject := range []string{"CHORIA_AJ.T.*", "CHORIA_AJ.Q.>", "CHORIA_AJ.E.>", "$KV.CHORIA_AJ_CONFIGURATION.>"} {
		_, err := nc.Subscribe(subject, func(m *nats.Msg) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.messages = append(r.messages, message{m.Subject, string(m.Data)})
		})
		check(err)
	}
	check(nc.Flush())
	return r
}

func (r *recording) wait(kind string, state aj.TaskState) {
	for range 1000 {
		if r.has(kind, state) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	log.Fatalf("no task %s became %s", kind, state)
}

func (r *recording) has(kind string, state aj.TaskState) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.messages, func(m message) bool {
		var event aj.TaskStateChangeEvent
		return json.Unmarshal([]byte(m.Data), &event) == nil && event.TaskType == kind && event.State == state
	})
}

func (r *recording) lines() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out bytes.Buffer
	for _, m := range r.messages {
		out.Write(compact(m))
		out.WriteByte('\n')
	}
	return out.Bytes()
}
