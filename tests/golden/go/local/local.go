// Package local runs a server inside of the program.
package local

import (
	"log"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Serve runs a server and connects to it; the returned function ends both.
func Serve() (*nats.Conn, func()) {
	folder, err := os.MkdirTemp("", "golden")
	Check(err)
	s, err := server.NewServer(&server.Options{Port: -1, JetStream: true, StoreDir: folder, NoLog: true, NoSigs: true})
	Check(err)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		log.Fatal("the server did not start")
	}
	nc, err := nats.Connect(s.ClientURL(), nats.UseOldRequestStyle())
	Check(err)
	return nc, func() {
		nc.Close()
		s.Shutdown()
		s.WaitForShutdown()
		Check(os.RemoveAll(folder))
	}
}

// Check ends the program on an error.
func Check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
