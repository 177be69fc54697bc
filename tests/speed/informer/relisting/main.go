// The truth for tests/live/test_audit.py: reflectors of client-go, as in every informer. Each time that one has replaced
// what its store holds, because it has listed or was sent everything anew, it prints the resource.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// store counts nothing but how often it is filled anew.
type store struct {
	cache.Store
	resource string
}

func (store store) Replace(objects []any, version string) error {
	err := store.Store.Replace(objects, version)
	fmt.Println(store.resource)
	return err
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "whom to ask, as whom")
	resources := flag.String("resources", "pods", "comma-separated, of version v1")
	agent := flag.String("agent", "informer", "its user agent")
	timeout := flag.Int64("timeout", 300, "seconds after which the apiserver shall end each watch")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	config.UserAgent = *agent
	client := metadata.NewForConfigOrDie(config)
	for _, resource := range strings.Split(*resources, ",") {
		go reflect(client, resource, *timeout)
	}
	select {}
}

func reflect(client metadata.Interface, resource string, timeout int64) {
	objects := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource})
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return objects.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.TimeoutSeconds = &timeout
			return objects.Watch(ctx, options)
		},
	}
	filled := store{cache.NewStore(cache.DeletionHandlingMetaNamespaceKeyFunc), resource}
	cache.NewReflector(source, &metav1.PartialObjectMetadata{}, filled, 0).RunWithContext(context.Background())
}
