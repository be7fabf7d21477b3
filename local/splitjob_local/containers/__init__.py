"""A cluster whose node is a real one: kubelet and kube-proxy over containerd and runc.

Needs root on Linux. The control plane, the S3 server and the webhook receivers run outside the
node, as they do in a cloud. The node has a network and a mount namespace of its own, so that its
interfaces, rules and mounts disappear with its last process, however that ends.

requirements       what the machine must have
network            the namespaces, the addresses, running commands inside
node_binaries      kubelet, kube-proxy, network policies and the pause program, built once
containerd         the container runtime and its image store
archive            images in the format that containerd imports
node_processes     kubelet, kube-proxy and network policies with their configuration
cgroups            the control group of all pods
dns                the DNS server for the cluster's Services
builder            buildah, podman or docker
base               a base image where no registry can be reached
service_images     the project's images: built when their inputs change, imported when they are new
container_service  the service installed from these images, over TLS
container_cluster  all of it together
"""
