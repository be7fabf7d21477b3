package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// networkPolicies enforces the NetworkPolicies of this node's pods: kube-router's controller alone,
// without its routes, its service proxy, and the libraries that those need.
func networkPolicies() error {
	config := options.NewKubeRouterConfig()
	config.EnableIPv4, config.EnableIPv6 = true, false
	// Of its own: the kubelet's packages have put theirs into the common set.
	flags := pflag.NewFlagSet("network-policies", pflag.ContinueOnError)
	config.AddFlags(flags)
	if err := flags.Parse(os.Args[1:]); err != nil {
		return err
	}
	rest, err := clientcmd.BuildConfigFromFlags("", config.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	waitForNode(client, config.HostnameOverride)
	return enforce(client, config)
}

// waitForNode returns when the kubelet has registered the node, whose addresses are needed.
func waitForNode(client kubernetes.Interface, name string) {
	for {
		if _, err := client.CoreV1().Nodes().Get(context.Background(), name, metav1.GetOptions{}); err == nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func enforce(client kubernetes.Interface, config *options.KubeRouterConfig) error {
	stop := make(chan struct{})
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	factory.Start(stop)
	factory.WaitForCacheSync(stop)

	iptables, ipsets, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		return fmt.Errorf("iptables: %w", err)
	}
	controller, err := netpol.NewNetworkPolicyController(
		client, config, pods, policies, namespaces, &sync.Mutex{}, iptables, ipsets)
	if err != nil {
		return err
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods:       controller.PodEventHandler,
		namespaces: controller.NamespaceEventHandler,
		policies:   controller.NetworkPolicyEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	var running sync.WaitGroup
	running.Add(1)
	controller.Run(heartbeats(), stop, &running)
	return nil
}

// heartbeats takes what the controller says of its health, which nobody reads here.
func heartbeats() chan<- *healthcheck.ControllerHeartbeat {
	heard := make(chan *healthcheck.ControllerHeartbeat, 10)
	go func() {
		for range heard {
			time.Sleep(time.Millisecond)
		}
	}()
	return heard
}

func runNetworkPolicies() {
	if err := networkPolicies(); err != nil {
		fmt.Fprintln(os.Stderr, "network-policies:", err)
		os.Exit(1)
	}
}
