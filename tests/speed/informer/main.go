// What client-go's metadata informer costs: it keeps every object's metadata, and of each event the newest managedFields
// time is read. It prints a line when its cache is filled; SIGUSR1 makes it print how many events it has handled, SIGUSR2
// takes its network away for some seconds.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const awaySeconds = 5

var (
	events atomic.Int64
	newest atomic.Int64
	line   network
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "whom to ask, as whom")
	resources := flag.String("resources", "pods", "comma-separated, each plural or plural.version.group")
	onlyJSON := flag.Bool("json", false, "ask for JSON instead of protobuf")
	clients := flag.Int("clients", 1, "how many such informers, each with a connection and a cache of its own")
	flag.Parse()
	if err := run(*kubeconfig, strings.Split(*resources, ","), *onlyJSON, *clients); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig string, resources []string, onlyJSON bool, clients int) error {
	asked, cut := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	signal.Notify(cut, syscall.SIGUSR2)
	go func() {
		for range cut {
			line.cut()
		}
	}()
	var factories []metadatainformer.SharedInformerFactory
	for range clients {
		factory, err := started(kubeconfig, resources, onlyJSON)
		if err != nil {
			return err
		}
		factories = append(factories, factory)
	}
	for _, factory := range factories {
		factory.WaitForCacheSync(context.Background().Done())
	}
	fmt.Println("ready")
	for range asked {
		fmt.Println(events.Load())
	}
	return nil
}

func started(kubeconfig string, resources []string, onlyJSON bool) (metadatainformer.SharedInformerFactory, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	// A function of its own keeps client-go from sharing one connection.
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return line.dial(ctx, network, address)
	}
	if onlyJSON {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return withoutProtobuf{next} })
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := metadatainformer.NewSharedInformerFactory(client, 0)
	for _, name := range resources {
		informer := factory.ForResource(resource(name)).Informer()
		if _, err := informer.AddEventHandler(handler()); err != nil {
			return nil, err
		}
	}
	factory.Start(context.Background().Done())
	return factory, nil
}

func resource(name string) schema.GroupVersionResource {
	if full, _ := schema.ParseResourceArg(name); full != nil {
		return *full
	}
	return schema.GroupVersionResource{Version: "v1", Resource: name}
}

func handler() cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    handle,
		UpdateFunc: func(_, object any) { handle(object) },
		DeleteFunc: handle,
	}
}

func handle(object any) {
	if gone, isGone := object.(cache.DeletedFinalStateUnknown); isGone {
		object = gone.Obj
	}
	var latest time.Time
	for _, entry := range object.(metav1.Object).GetManagedFields() {
		if entry.Time != nil && entry.Time.After(latest) {
			latest = entry.Time.Time
		}
	}
	newest.Store(latest.Unix())
	events.Add(1)
}

// network is what all connections go over.
type network struct {
	lock  sync.Mutex
	open  []net.Conn
	until time.Time
}

// dial fails while the network is away.
func (all *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, kind, address)
	all.lock.Lock()
	defer all.lock.Unlock()
	if err == nil && time.Now().Before(all.until) {
		connection.Close()
		err = syscall.ENETDOWN
	}
	if err == nil {
		all.open = append(all.open, connection)
	}
	return connection, err
}

func (all *network) cut() {
	all.lock.Lock()
	defer all.lock.Unlock()
	for _, connection := range all.open {
		connection.Close()
	}
	all.open, all.until = nil, time.Now().Add(awaySeconds*time.Second)
}

// withoutProtobuf takes protobuf out of what the client accepts.
type withoutProtobuf struct{ next http.RoundTripper }

func (transport withoutProtobuf) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	var accepted []string
	for _, kind := range strings.Split(request.Header.Get("Accept"), ",") {
		if !strings.Contains(kind, "protobuf") {
			accepted = append(accepted, kind)
		}
	}
	request.Header.Set("Accept", strings.Join(accepted, ","))
	return transport.next.RoundTrip(request)
}
