package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	aj "github.com/choria-io/asyncjobs"
	"github.com/nats-io/nats.go"
)

// soon is a retry policy for those who wait.
type soon struct{}

func (soon) Duration(int) time.Duration { return 10 * time.Millisecond }

// work runs the tasks of a queue until its stdin ends, and tells of each run and of its log's warnings.
func work(nc *nats.Conn, args []string) {
	var concurrency int
	var key, remote, discard, policy string
	rest := flags("work", args, func(set *flag.FlagSet) {
		set.IntVar(&concurrency, "c", 10, "tasks at one time")
		set.StringVar(&key, "verify", "", "hex public key that tasks must be signed for")
		set.StringVar(&remote, "remote", "", "a route that is handled by request and reply")
		set.StringVar(&discard, "discard", "", "a state whose tasks are removed")
		set.StringVar(&policy, "retry", "", "a retry policy of asyncjobs")
	})
	opts := []aj.ClientOpt{aj.ClientConcurrency(concurrency), aj.RetryBackoffPolicy(soon{}), aj.CustomLogger(teller{})}
	if key != "" {
		opts = append(opts, aj.TaskVerificationKeyHexEncoded(key))
	}
	if discard != "" {
		opts = append(opts, aj.DiscardTaskStatesByName(discard))
	}
	if policy != "" {
		opts = append(opts, aj.RetryBackoffPolicyName(policy))
	}
	c := client(nc, rest[0], opts...)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	router := handlers(nc)
	if remote != "" {
		check(router.RequestReply(strings.TrimSuffix(remote, "*"), c))
	}
	say(map[string]string{"works": rest[0]})
	check(c.Run(ctx, router))
}

// handlers returns a router of what tests need. Every run is told when it begins.
func handlers(nc *nats.Conn) *aj.Mux {
	router := aj.NewTaskRouter()
	check(router.Use(func(next aj.HandlerFunc) aj.HandlerFunc {
		return func(ctx context.Context, logger aj.Logger, t *aj.Task) (any, error) {
			say(map[string]any{"runs": t.ID, "type": t.Type, "tries": t.Tries})
			return next(ctx, logger, t)
		}
	}))
	for name, handler := range map[string]func(context.Context, *aj.Task) (any, error){
		"go:echo":       echo,
		"go:fail":       func(context.Context, *aj.Task) (any, error) { return nil, errors.New("no luck in Go") },
		"go:fail-once":  failOnce,
		"go:terminate":  terminate,
		"go:parents":    func(_ context.Context, t *aj.Task) (any, error) { return t.DependencyResults, nil },
		"go:wait":       func(ctx context.Context, t *aj.Task) (any, error) { return told(ctx, nc, t) },
		"shared:number": echo,
	} {
		check(router.HandleFunc(name, func(ctx context.Context, _ aj.Logger, t *aj.Task) (any, error) {
			return handler(ctx, t)
		}))
	}
	return router
}

// echo returns the payload as the value that it is the JSON of.
func echo(_ context.Context, t *aj.Task) (any, error) {
	var value any
	err := json.Unmarshal(t.Payload, &value)
	return value, err
}

func failOnce(ctx context.Context, t *aj.Task) (any, error) {
	if t.Tries == 1 {
		return nil, errors.New("not yet")
	}
	return echo(ctx, t)
}

func terminate(context.Context, *aj.Task) (any, error) {
	return nil, fmt.Errorf("not in a thousand years: %w", aj.ErrTerminateTask)
}

// told waits for a message on interop.<task id>, and returns it.
func told(ctx context.Context, nc *nats.Conn, t *aj.Task) (any, error) {
	sub, err := nc.SubscribeSync("interop." + t.ID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.Flush(); err != nil {
		return nil, err
	}
	say(map[string]string{"waits": t.ID})
	message, err := sub.NextMsgWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return string(message.Data), nil
}

// answer is a remote handler of a route; a catch-all has none. It answers with the payload, or as the payload says.
func answer(nc *nats.Conn, args []string) {
	route := ""
	if len(args) > 0 {
		route = args[0]
	}
	_, err := nc.QueueSubscribe(aj.RequestReplySubjectForTaskType(route), "workers", func(request *nats.Msg) {
		task := &aj.Task{}
		check(json.Unmarshal(request.Data, task))
		say(map[string]any{"asked": task, "headers": request.Header})
		reply := nats.NewMsg(request.Reply)
		reply.Data = task.Payload
		var payload map[string]string
		if json.Unmarshal(task.Payload, &payload) == nil {
			for _, header := range []string{aj.RequestReplyError, aj.RequestReplyTerminateError} {
				if text := payload[header]; text != "" {
					reply.Header.Set(header, text)
				}
			}
		}
		check(request.RespondMsg(reply))
	})
	check(err)
	check(nc.Flush())
	say(map[string]string{"answers": route})
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// teller passes on what asyncjobs logs at Warn and above.
type teller struct{}

func (teller) Debugf(string, ...any) {}
func (teller) Infof(string, ...any)  {}
func (teller) Warnf(format string, values ...any) {
	say(map[string]string{"warns": fmt.Sprintf(format, values...)})
}
func (teller) Errorf(format string, values ...any) {
	say(map[string]string{"errs": fmt.Sprintf(format, values...)})
}
