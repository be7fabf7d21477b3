"""A cluster whose node is a real one: kubelet and kube-proxy over containerd and runc.

As root, on Linux. The control plane, the S3 server and the receivers of webhooks run outside the
node, as they do in a cloud. Everything of the node lives in a network and a mount namespace of its
own, so that its interfaces, rules and mounts go with its last process, whatever way that ends.

requirements  what the machine must have
network       the namespaces, the addresses, the way into them
programs      kubelet, kube-proxy, network policies and the pause program, built once
containerd    the container runtime, and what is in its store
kubelet       the node's own programs and their configuration
dns           the cluster's names
builder       buildah, podman or docker
base          a base image where no registry can be reached
images        the project's images: built when their inputs changed, imported when they are new
cluster       all of it together, with the service installed from its images
"""
