package main

import (
	"errors"
	"time"

	"github.com/robfig/cron/v3"
)

// cronSpecs are specs that Go's cron library, as asyncjobs uses it, takes or refuses.
var cronSpecs = []string{
	"0 3 * * *", "*/5 * * * *", "5/15 * * * *", "59/5 * * * *", "* * * * ?", "0 0 ? * 1", "0,30 8-17 * * mon-fri",
	"0 0 1 * *", "0 0 31 * *", "0 0 29 2 *", "0 12 1-7 * 1", "0 12 */2 * 1", "0 12 * */3 fri", "0 0 1-31 * 3",
	"0 0 13 * fri", "15 10 * jan,JUL *", "0 0 * * SUN", "0 0 * * 0-6", "05 04 * * *", "*/1 2 * * *", "1/1 0 * * *",
	"0 0 * * 5/2", "0 0 10/10 * *", "0 22-23 * * *", "*,5 * * * *", "0 0 */2 * */2", "@hourly", "@daily", "@midnight",
	"@weekly", "@monthly", "@yearly", "@annually", "@every 10m", "@every 1h30m", "@every 90s", "@every 1.5h",
	"@every 1500ms", "@every 10ms", "@every 1m0.5s", "@every -5m", "@every 0", "@every +1h", "@every .5h",
	"TZ=Asia/Tokyo 30 4 * * *", "CRON_TZ=Asia/Kolkata 0 6 * * ?", "CRON_TZ=UTC @daily", "CRON_TZ=Asia/Tokyo @every 1h",
	"0 0 30 2 *", "*/90 * * * *", "0 */48 * * *", "0 0 31 2 1",
	"", "0 3 * *", "0 3 * * * *", "60 * * * *", "* 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *", "0 0 * 0 *",
	"0 0 * * 7", "0 0 * * 5-7", "*/0 * * * *", "0 22-2 * * *", "0 0 * * fri-mon", "0 0 L * *", "0 0 * * 1#2",
	"0 0 15W * *", "0 0 * * monday", "H * * * *", "1-2-3 * * * *", "1/2/3 * * * *", "-5 * * * *", "x * * * *",
	"@fortnightly", "@every", "@every 1d", "@every ten minutes", "@reboot", "@Daily", "daily", "@at 2026-11-24T03:00:00Z",
	"CRON_TZ=Nowhere/Land 0 3 * * *", "CRON_TZ=UTC", "*-5 * * * *", "1,,2 * * * *", "+5 * * * *", ", * * * *",
}

type cronTimes struct {
	Spec  string   `json:"spec"`
	Taken bool     `json:"taken"`
	Next  []string `json:"next"`
}

// cronLines says for each spec whether it is taken, and its next times from a moment at which intervals are anchored.
func cronLines() []cronTimes {
	start := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	var found []cronTimes
	for _, spec := range cronSpecs {
		line := cronTimes{Spec: spec, Next: []string{}}
		schedule, err := parsed(spec)
		line.Taken = err == nil
		for at := start; err == nil && len(line.Next) < 8; {
			at = schedule.Next(at)
			if at.IsZero() {
				break
			}
			line.Next = append(line.Next, at.UTC().Format(time.RFC3339))
		}
		found = append(found, line)
	}
	return found
}

// parsed keeps a spec that makes the library panic, as one without fields does, from ending the program.
func parsed(spec string) (schedule cron.Schedule, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it panics")
		}
	}()
	return cron.ParseStandard(spec)
}
