package main

import (
	"time"

	aj "github.com/choria-io/asyncjobs"
)

const (
	taskID   = "3MXacoA4r1VXzUmWbcF7UmAGfE8"
	parentID = "3MXacnmD1kcAbjQfyMpWPUjsDnP"
	otherID  = "3MXaclYzC2jKvFwZ5cOlHh8gT0x"
	awkward  = "<b>\"Tom\" & 'Jerry'</b> \\ caf\u00e9 \u2028\u2029 \U0001F600\t\r\n\x01\x7f"
)

var (
	created  = time.Date(2026, 11, 24, 3, 0, 0, 123456789, time.UTC)
	tried    = time.Date(2026, 11, 24, 3, 0, 5, 1000, time.UTC)
	finished = time.Date(2026, 11, 24, 3, 0, 7, 500000000, time.UTC)
	mail     = map[string]any{"to": "a@b.c", "subject": "hi <you> & me"}
)

// task makes a task as a client would and gives it a fixed id and time.
func task(payload any, opts ...aj.TaskOpt) *aj.Task {
	t, err := aj.NewTask("email:new", payload, opts...)
	check(err)
	t.ID, t.CreatedAt, t.Queue = taskID, created, "EMAIL"
	return t
}

// with changes a task; it keeps the tables below readable.
func with(t *aj.Task, change func(*aj.Task)) *aj.Task {
	change(t)
	return t
}

func in(state aj.TaskState, tries int) func(*aj.Task) {
	return func(t *aj.Task) { t.State, t.LastTriedAt, t.Tries = state, &tried, tries }
}

func failed(state aj.TaskState, tries int, text string) func(*aj.Task) {
	return func(t *aj.Task) {
		in(state, tries)(t)
		t.LastErr = text
	}
}

func succeeded(payload any) func(*aj.Task) {
	return func(t *aj.Task) {
		in(aj.TaskStateCompleted, 1)(t)
		t.Result = &aj.TaskResult{Payload: payload, CompletedAt: finished}
	}
}

func at(moment time.Time) func(*aj.Task) {
	return func(t *aj.Task) { t.CreatedAt = moment }
}

func records() map[string]*aj.Task {
	year := func(nanos int) time.Time { return time.Date(2026, 11, 24, 3, 0, 0, nanos, time.UTC) }
	nepal := time.FixedZone("", 5*3600+45*60)
	depends := aj.TaskDependsOnIDs(parentID, otherID)
	results := map[string]*aj.TaskResult{
		parentID: {Payload: map[string]any{"html": "<p>"}, CompletedAt: finished},
		otherID:  nil,
	}
	return map[string]*aj.Task{
		"new":                    task(mail),
		"no_payload":             task(nil),
		"payload_empty_object":   task(map[string]any{}),
		"payload_number":         task(42),
		"payload_json_in_string": task(`{"to":"a@b.c","subject":"hi"}`),
		"payload_base64":         task([]byte(`{"to":"a@b.c","subject":"hi"}`)),
		"payload_base64_none":    task([]byte(nil)),
		"payload_bytes":          task(mail, aj.TaskPayloadEncoder(raw)),
		"unlimited_tries":        task(mail, aj.TaskMaxTries(-1)),
		"nanoseconds_7_digits":   with(task(mail), at(year(123456700))),
		"nanoseconds_2_digits":   with(task(mail), at(year(120000000))),
		"nanoseconds_9_digits":   with(task(mail), at(year(1))),
		"nanoseconds_none":       with(task(mail), at(year(0))),
		"nanoseconds_up":         with(task(mail), at(year(999999999))),
		"created_never":          with(task(mail), at(time.Time{})),
		"deadline":               task(mail, aj.TaskDeadline(created.Add(time.Hour))),
		"deadline_in_a_zone":     task(mail, aj.TaskDeadline(created.Add(time.Hour).In(nepal))),
		"active":                 with(task(mail), in(aj.TaskStateActive, 0)),
		"retry":                  with(task(mail), failed(aj.TaskStateRetry, 1, "connection refused")),
		"terminated":             with(task(mail), failed(aj.TaskStateTerminated, 1, awkward)),
		"expired":                with(task(mail), failed(aj.TaskStateExpired, 10, "no luck")),
		"queue_error":            with(task(mail), func(t *aj.Task) { t.State, t.LastErr = aj.TaskStateQueueError, "full" }),
		"unknown":                with(task(mail), func(t *aj.Task) { t.State = aj.TaskStateUnknown }),
		"complete":               with(task(mail), succeeded(map[string]any{"sent": 1, "note": awkward})),
		"complete_null":          with(task(mail), succeeded(nil)),
		"complete_bytes":         with(task(mail), succeeded([]byte(`{"sent":1}`))),
		"blocked":                task(mail, depends, aj.TaskRequiresDependencyResults()),
		"unreachable":            with(task(mail, depends), failed(aj.TaskStateUnreachable, 0, "dependencies failed: <nil>")),
		"unblocked": with(task(mail, depends, aj.TaskRequiresDependencyResults()), func(t *aj.Task) {
			in(aj.TaskStateActive, 0)(t)
			t.DependencyResults = results
		}),
	}
}

func raw(any) ([]byte, error) { return []byte{0, 1, 2, 255}, nil }

func items() map[string]*aj.ProcessItem {
	return map[string]*aj.ProcessItem{"task": {Kind: aj.TaskItem, JobID: taskID}}
}

func events() map[string]any {
	state := func(t *aj.Task, age time.Duration) any {
		e, err := aj.NewTaskStateChangeEvent(t)
		check(err)
		e.EventID, e.TimeStamp, e.Age = otherID, finished.Truncate(time.Second), age
		return e
	}
	leader, err := aj.NewLeaderElectedEvent("host-1", "task_scheduler")
	check(err)
	leader.EventID, leader.TimeStamp = otherID, finished.Truncate(time.Second)
	return map[string]any{
		"state_new":        state(task(mail), 1234567),
		"state_terminated": state(with(task(mail), failed(aj.TaskStateTerminated, 3, awkward)), 61*time.Second+1),
		"state_bare": state(with(task(mail), func(t *aj.Task) {
			t.Queue, t.State, t.CreatedAt = "", aj.TaskStateUnknown, time.Time{}
		}), 0),
		"leader_elected": leader,
	}
}

func schedules() map[string]*aj.ScheduledTask {
	schedule := func(t *aj.Task, spec string, deadline time.Duration) *aj.ScheduledTask {
		return &aj.ScheduledTask{
			Name: "nightly-report", Schedule: spec, Queue: "EMAIL", TaskType: t.Type, Payload: t.Payload,
			Deadline: deadline, MaxTries: t.MaxTries, CreatedAt: created,
		}
	}
	return map[string]*aj.ScheduledTask{
		"cron":     schedule(task(mail), "CRON_TZ=Europe/Malta 0 3 * * *", 0),
		"deadline": schedule(task(nil), "@every 1h30m", 90*time.Second),
	}
}

type policy struct {
	Intervals []int64 `json:"intervals"`
	Jitter    float64 `json:"jitter"`
}

func policies() map[string]policy {
	found := map[string]policy{}
	for _, name := range aj.RetryPolicyNames() {
		provider, err := aj.RetryPolicyLookup(name)
		check(err)
		p := provider.(aj.RetryPolicy)
		var intervals []int64
		for _, interval := range p.Intervals {
			intervals = append(intervals, interval.Nanoseconds())
		}
		found[name] = policy{intervals, p.Jitter}
	}
	return found
}
