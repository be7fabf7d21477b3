"""A small kubelet that runs pods as processes of this machine.

The node registers itself with an API server, renews its lease, watches the pods bound to it, runs
their containers as host processes, and reports phases, conditions, container states and logs as a
kubelet does.

From the bottom up: `runtime` runs processes with files and users of their own, `api` talks to the
API server, `node` holds what all pods share, `containers` and `pods` run one of each, `endpoint`
serves logs, exec and port-forward.

Command line::

    python -m splitjob_kubelet
        --kubeconfig FILE          credentials of the node: a client certificate or a token of
                                   system:node:NAME (group system:nodes), or more powerful ones
        --root DIR                 for pods, logs and state; created with mode 0700 if absent;
                                   start again with the same directory after a crash
        --name NAME                name of the Node object
        --address 127.0.0.1        InternalIP of the node, and where its HTTPS endpoint listens
        --port N                   port of that endpoint, for `kubectl logs` and others
        --serving-cert FILE        PEM certificate (chain) of the endpoint
        --serving-key FILE         PEM key of it
        --client-ca FILE           PEM bundle; clients without a certificate of it are refused
        --environment PATTERN=DIR  an image whose name matches the shell pattern runs with DIR in
                                   front of its PATH; repeatable, first match wins; other images
                                   cannot be pulled (ErrImagePull)
        --isolation LEVEL          root, user-namespace, none (see below), or auto: the first of
                                   these that works here, found by trying
        --share DIR                every pod sees this directory, read-only, under the same path;
                                   repeatable
        --preload COMMAND=MODULES  a container whose command begins with these words (`python -m
                                   MODULE`, `python FILE` or a script) begins as a copy of a process
                                   that has imported these modules, which commas part, unless its
                                   environment says something to the interpreter; repeatable
        --capacity RESOURCE=N      repeatable; replaces or adds to the machine's resources
                                   (cpu, memory, ephemeral-storage, pods=250)
        --label KEY=VALUE          repeatable; labels of the Node object
        --lease-seconds 40         lifetime of the lease, renewed four times in that span
        --back-off-initial 10      seconds before the second restart of a crashing container or
                                   the second try of an image, doubled each time
        --back-off-max 300         and never more than this

The process logs to stderr, is ready when the Node's Ready condition is True, and ends every pod
process on SIGTERM or SIGINT. If it is killed in another way, its pods die with it (Linux), and the
next start reports them as a kubelet does after a reboot.

The levels of isolation:

root
    The node runs as root, as on a real machine. Each container has a mount namespace: volumes and
    the service account at their paths, /dev and /etc of its own (no passwd entry but root's), the
    system's and the image's programs read-only, nothing else of this machine, and a read-only root
    where the pod asks for one. It runs as runAsUser, runAsGroup, supplementalGroups and fsGroup
    say, without capabilities and with no_new_privs; an image's user is 65532. Secrets and tokens
    have the owners and modes that a kubelet gives them.
user-namespace
    The same for a node without root, as far as one user can: inside, the pod has the user it asks
    for; on this machine it is the user who started the node. One group only; volumes and the root's
    directories belong to the pod's user.
none
    No namespaces (macOS, restricted containers). A value in env, command or args that is a volume's
    mountPath, the terminationMessagePath, or a path below one, also as `--flag=/path`, is replaced
    by the real path. Paths inside longer strings (shell scripts, URLs, lists) stay unchanged: pass
    them in environment variables. The service account token reaches the process as a KUBECONFIG
    file, unless the container sets KUBECONFIG itself. The process runs as the user who started the
    node, and sees that user's files; securityContext has no effect. HOME, TMPDIR and LANG are set.

Limits of every level:

- No images: a pod sees this machine's /usr, and the directory that replaces its image.
- No network of its own: each pod has a loopback address on Linux (127.0.0.1 elsewhere), but shares
  all others. No NetworkPolicies, no Services, no cluster DNS; of the service variables only those
  that name the API server (not at level none).
- No process namespace: a pod sees all processes, and its first one is not number 1. SIGTERM goes
  to it, as in a container; when it ends, all others are killed. Unlike PID 1 of a container, it
  dies of SIGTERM if it has no handler.
- No control groups. Memory limits are enforced by measuring the process tree several times a
  second and killing all of it: a burst may exceed the limit for a moment, and one process of
  several is never killed alone. CPU limits and requests are not enforced.
- ephemeral-storage limits and emptyDir sizeLimit are enforced by measuring, with eviction; an
  emptyDir with `medium: Memory` lies on disk.
- No seccomp profile, no AppArmor, and capabilities cannot be added.
- Nothing of the node's own environment reaches a pod.
- Not implemented: volumes other than emptyDir, secret, configMap, downwardAPI, projected and
  hostPath; attach; gRPC probes; postStart hooks; ephemeral containers; resizing. Exec and
  port-forward work with clients that use WebSocket (kubectl since 1.31).
- Mount paths below a directory that a pod sees of this machine (/usr) must exist there.
"""
