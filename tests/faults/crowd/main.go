// Other clients of an apiserver, many of them, who do what brings watches into trouble. It prints a line when each of
// them has begun, and goes on until it is killed.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	do      = flag.String("do", "watch", "watch, list or fight")
	url     = flag.String("url", "", "the apiserver's")
	paths   = flag.String("paths", "", "comma-separated paths with queries, which the clients take in turns")
	token   = flag.String("token", "", "the bearer token")
	ca      = flag.String("ca", "", "file with the authority's certificate")
	accept  = flag.String("accept", "application/json", "the media type")
	clients = flag.Int("clients", 1, "how many")
	shared  = flag.Bool("shared", false, "all over as few connections of HTTP/2 as there can be, instead of one each")
	pause   = flag.Duration("pause", 0, "between one request of a client and its next")
	lasts   = flag.Duration("lasts", 0, "after this the client gives a request up and sends the next; 0: never")
	stop    = flag.Bool("stop", false, "read nothing of what is answered")
	slow    = flag.Int("slow", 0, "read so many bytes a second only")
)

func main() {
	flag.Parse()
	pem, err := os.ReadFile(*ca)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: pool}
	common := transport(config, true)
	all := strings.Split(*paths, ",")
	var begun sync.WaitGroup
	for number := range *clients {
		begun.Add(1)
		mine := common
		if !*shared {
			mine = transport(config, false)
		}
		one := &client{http: http.Client{Transport: mine}, path: all[number%len(all)], begun: sync.OnceFunc(begun.Done)}
		go one.run()
	}
	begun.Wait()
	fmt.Println("ready")
	for range time.Tick(time.Hour) { // a program that only waits is a deadlock to Go
	}
}

// transport speaks HTTP/2 or not at all; who reads slowly has little room for what is not read yet.
func transport(config *tls.Config, http2 bool) *http.Transport {
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		if *stop || *slow > 0 {
			return raw.Control(func(descriptor uintptr) {
				_ = syscall.SetsockoptInt(int(descriptor), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
			})
		}
		return nil
	}}
	made := &http.Transport{TLSClientConfig: config.Clone(), DialContext: dialer.DialContext, ForceAttemptHTTP2: http2,
		DisableCompression: true}
	if !http2 {
		made.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return made
}

type client struct {
	http  http.Client
	path  string
	begun func()
}

func (one *client) run() {
	for count := 0; ; count++ {
		ctx, cancel := context.WithCancel(context.Background())
		if *lasts > 0 {
			ctx, cancel = context.WithTimeout(context.Background(), *lasts)
		}
		var err error
		if *do == "fight" {
			err = one.fight(ctx, count)
		} else {
			err = one.read(ctx)
		}
		cancel()
		if err != nil && *lasts == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(*pause)
	}
}

func (one *client) send(ctx context.Context, method, body string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, *url+one.path, strings.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+*token)
	request.Header.Set("Accept", *accept)
	request.Header.Set("Content-Type", "application/merge-patch+json")
	response, err := one.http.Do(request)
	one.begun()
	return response, err
}

func (one *client) read(ctx context.Context) error {
	response, err := one.send(ctx, http.MethodGet, "")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case *stop:
		<-ctx.Done()
		return ctx.Err()
	case *slow > 0:
		for err == nil {
			_, err = io.CopyN(io.Discard, response.Body, int64(*slow/10))
			time.Sleep(100 * time.Millisecond)
		}
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// fight reads an object and writes it as it wants it, unless another one was faster: as two controllers do of which each
// has its own opinion.
func (one *client) fight(ctx context.Context, count int) error {
	var found struct {
		Metadata struct{ ResourceVersion string }
	}
	response, err := one.send(ctx, http.MethodGet, "")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		return err
	}
	body := bytes.Buffer{}
	fmt.Fprintf(&body, `{"metadata":{"resourceVersion":%q,"annotations":{"tests.example.com/opinion":"%p %d"}}}`,
		found.Metadata.ResourceVersion, one, count)
	written, err := one.send(ctx, http.MethodPatch, body.String())
	if err != nil {
		return err
	}
	defer written.Body.Close()
	_, err = io.Copy(io.Discard, written.Body)
	return err
}
