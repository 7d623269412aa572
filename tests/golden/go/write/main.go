// write produces the golden files: what asyncjobs itself puts on the wire.
//
//	go run ./write FOLDER
//
// The shapes are asyncjobs' own values with fixed ids and times, so that writing them again changes nothing; the signed
// ones come from a client with a signing key. The lives are what a client really published while it ran tasks on a
// server inside of this program; their ids and times are new with each run.
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"os"
	"path/filepath"

	"jetq.example/golden/local"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: write FOLDER")
	}
	folder := os.Args[1]
	files := map[string][]byte{
		"retry_policies.json": indented(policies()),
		"lives.jsonl":         lives(),
		"cron.json":           indented(cronLines()),
	}
	for name, task := range records() {
		files["records/"+name+".json"] = compact(task)
	}
	for name, data := range signed() {
		files["records/"+name+".json"] = data
	}
	for name, item := range items() {
		files["items/"+name+".json"] = compact(item)
	}
	for name, event := range events() {
		files["events/"+name+".json"] = compact(event)
	}
	for name, schedule := range schedules() {
		files["schedules/"+name+".json"] = compact(schedule)
	}
	for name, data := range files {
		path := filepath.Join(folder, name)
		check(os.MkdirAll(filepath.Dir(path), 0o755))
		check(os.WriteFile(path, data, 0o644))
	}
}

// compact spells a value as asyncjobs does, which marshals without options.
func compact(value any) []byte {
	data, err := json.Marshal(value)
	check(err)
	return data
}

func indented(value any) []byte {
	var out bytes.Buffer
	check(json.Indent(&out, compact(value), "", "  "))
	out.WriteByte('\n')
	return out.Bytes()
}

func check(err error) { local.Check(err) }
