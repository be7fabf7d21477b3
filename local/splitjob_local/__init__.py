"""A whole Kubernetes cluster on one machine, the demo that runs on it, and the project's images.

cli, node_kinds  the commands, and which kind of node they start
demo             one song through the whole service, every step shown and checked
cluster          control plane, bucket and installed service; pods run as processes
containers       the same with a real kubelet over containerd
images           building, measuring and releasing the container images
programs         etcd, kube-apiserver and the others: which versions, and where they come from
processes        the supervisor, ports and locks
"""
