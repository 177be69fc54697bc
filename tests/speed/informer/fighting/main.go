// A controller for tests/live/test_fight.py: it wants one ConfigMap to say its own name. It looks at its informer's
// cache, works for a while, and updates what it has seen: whenever it says something else, and now and then anyway. It
// prints what came of each update: "written" with the new revision, or "conflict".
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "whom to ask, as whom")
	agent := flag.String("agent", "controller", "its user agent, and what the object shall say")
	namespace := flag.String("namespace", "default", "where the object is")
	name := flag.String("name", "fought-over", "the object")
	work := flag.Duration("work", 20*time.Millisecond, "between its look at the cache and its update")
	resync := flag.Duration("resync", 70*time.Millisecond, "after which it updates the object even if nothing has changed")
	flag.Parse()
	if err := run(*kubeconfig, *agent, *namespace, *name, *work, *resync); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig, agent, namespace, name string, work, resync time.Duration) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent = agent
	config.QPS, config.Burst = 100, 100
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, namespace, nil)
	informer := factory.ForResource(configMaps)
	if _, err := informer.Informer().AddEventHandler(handler(queue, agent)); err != nil {
		return err
	}
	ctx := context.Background()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	fmt.Println("ready")
	key := namespace + "/" + name
	over, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	go func() {
		<-over.Done()
		queue.ShutDown() // what is under way comes to its end, and is told
	}()
	go func() {
		for range time.Tick(resync) {
			queue.Add(key)
		}
	}()
	for {
		one, isOver := queue.Get()
		if isOver {
			return nil
		}
		if one == key {
			cached, err := informer.Lister().ByNamespace(namespace).Get(name)
			if err == nil {
				time.Sleep(work)
				err = update(ctx, client.Resource(configMaps).Namespace(namespace), cached.(*unstructured.Unstructured), agent)
			}
			if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				return err
			}
		}
		queue.Done(one)
	}
}

func handler(queue workqueue.TypedRateLimitingInterface[string], agent string) cache.ResourceEventHandlerFuncs {
	add := func(object any) {
		owner, _, _ := unstructured.NestedString(object.(*unstructured.Unstructured).Object, "data", "owner")
		if key, err := cache.MetaNamespaceKeyFunc(object); err == nil && owner != agent {
			queue.Add(key)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, object any) { add(object) }}
}

func update(ctx context.Context, client dynamic.ResourceInterface, seen *unstructured.Unstructured, agent string) error {
	wanted := seen.DeepCopy()
	said := map[string]string{"owner": agent, "at": time.Now().String()} // so that no update changes nothing
	if err := unstructured.SetNestedStringMap(wanted.Object, said, "data"); err != nil {
		return err
	}
	written, err := client.Update(ctx, wanted, metav1.UpdateOptions{})
	if err == nil {
		fmt.Println("written", written.GetResourceVersion())
	} else if apierrors.IsConflict(err) {
		fmt.Println("conflict")
	}
	return err
}
