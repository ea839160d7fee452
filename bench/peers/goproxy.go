// Go's httputil.ReverseProxy with the duties of the other peers (see peer.py).
//
// Tuned as its users tune it: a transport whose idle connections are not closed under
// load, a pool of copy buffers, no compression, an error log that is silent.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte     { return *b.pool.Get().(*[]byte) }
func (b *buffers) Put(data []byte) { b.pool.Put(&data) }

type logged struct {
	http.ResponseWriter
	status, bytes int
}

func (w *logged) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *logged) Write(data []byte) (int, error) {
	n, err := w.ResponseWriter.Write(data)
	w.bytes += n
	return n, err
}

// withLog writes a line per request, in blocks, at the latest after a second.
func withLog(next http.Handler, path string) http.Handler {
	file, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	var lock sync.Mutex
	out := bufio.NewWriterSize(file, 65536)
	go func() {
		for range time.Tick(time.Second) {
			lock.Lock()
			out.Flush()
			lock.Unlock()
		}
	}()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		seen := &logged{w, 200, 0}
		next.ServeHTTP(seen, r)
		lock.Lock()
		defer lock.Unlock()
		fmt.Fprintf(out, "%s - - [%s] \"%s %s %s\" %d %d %q %q %s\n", r.RemoteAddr,
			begun.Format("02/Jan/2006:15:04:05 -0700"), r.Method, r.RequestURI, r.Proto,
			seen.status, seen.bytes, r.Referer(), r.UserAgent(), time.Since(begun))
	})
}

func main() {
	listen := flag.String("listen", "", "address")
	file := flag.String("backends", "", "file with a backend per line")
	keepalive := flag.Duration("keepalive", 0, "how long connections may idle")
	accessLog := flag.String("log", "", "file")
	flag.Parse()
	text, err := os.ReadFile(*file)
	if err != nil {
		log.Fatal(err)
	}
	backends := strings.Fields(string(text))
	var requests uint64
	director := func(r *http.Request) {
		number := atomic.AddUint64(&requests, 1)
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		r.URL.Scheme = "http"
		r.URL.Host = backends[number%uint64(len(backends))]
		// ReverseProxy itself appends to X-Forwarded-For.
		r.Header.Del("X-Forwarded-For")
		r.Header.Set("X-Forwarded-Proto", "http")
		r.Header.Set("X-Forwarded-Host", r.Host)
		r.Header.Set("Forwarded", "for="+client+";proto=http;host=\""+r.Host+"\"")
		r.Header.Set("X-Request-Id", fmt.Sprintf("%016x", number))
		r.Header.Add("Via", "1.1 go")
		if _, ok := r.Header["User-Agent"]; !ok {
			r.Header.Set("User-Agent", "")
		}
	}
	proxy := &httputil.ReverseProxy{
		Director: director,
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			DisableCompression:    true,
			MaxIdleConns:          0,
			MaxIdleConnsPerHost:   1024,
			IdleConnTimeout:       *keepalive,
			ResponseHeaderTimeout: 60 * time.Second,
		},
		BufferPool: &buffers{sync.Pool{New: func() any {
			data := make([]byte, 64*1024)
			return &data
		}}},
		ModifyResponse: func(r *http.Response) error {
			r.Header.Add("Via", "1.1 go")
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	var handler http.Handler = proxy
	if *accessLog != "" {
		handler = withLog(proxy, *accessLog)
	}
	server := &http.Server{
		Addr:              *listen,
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       *keepalive,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	log.Fatal(server.ListenAndServe())
}
