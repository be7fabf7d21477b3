"""A small, honest kubelet that runs pods as processes of this machine.

The node registers itself with an API server, keeps its lease, watches the pods bound to it, runs
their containers as host processes and reports phases, conditions, container states and logs the
way a kubelet does.

Command line::

    python -m splitjob_local.node
        --kubeconfig FILE          credentials of the node: a client certificate or a token of
                                   system:node:NAME (group system:nodes), or anything mightier
        --root DIR                 pods, logs and state live here; created when absent, mode 0700;
                                   start again with the same directory after a crash
        --name NAME                name of the Node object
        --address 127.0.0.1        InternalIP of the node, and where its HTTPS endpoint listens
        --port N                   port of that endpoint (`kubectl logs` comes in here)
        --serving-cert FILE        PEM certificate (chain) of the endpoint
        --serving-key FILE         PEM key of it
        --client-ca FILE           PEM bundle; clients without a certificate of it are refused
        --environment PATTERN=DIR  an image whose name matches the shell pattern runs with DIR in
                                   front of its PATH; repeatable, first match wins; other images
                                   cannot be pulled (ErrImagePull)
        --capacity RESOURCE=N      repeatable; replaces or adds to what the machine has
                                   (cpu, memory, ephemeral-storage, pods=250)
        --label KEY=VALUE          repeatable; labels of the Node object
        --lease-seconds 40         lifetime of the lease, renewed four times in that span
        --back-off-initial 10      seconds before the second restart of a crashing container or
                                   the second try of an image, doubled each time
        --back-off-max 300         and never more than this

The process logs to stderr, is ready when the Node's Ready condition is True, and ends every pod
process when it gets SIGTERM or SIGINT. Killed in any other way, its pods die with it (Linux), and
the next start reports them as a kubelet does after a reboot.

What a host process cannot have, and what stands in for it:

- No mount namespace. A value in env, command or args that is a volume's mountPath, or lies below
  one, also as `--flag=/path`, becomes the directory behind it. Paths inside longer strings (shell
  scripts, URLs, lists) stay as they are: take them from the environment.
- The file given as terminationMessagePath is found the same way: pass the path in env.
- The service account token mounted at /var/run/secrets/kubernetes.io/serviceaccount reaches the
  process as a KUBECONFIG file, unless the container sets KUBECONFIG itself.
- Each pod has a loopback address of its own on Linux (127.0.0.1 elsewhere), but shares all others.
- Memory limits are enforced by looking at the process tree several times a second and killing it:
  a burst may pass the limit for a moment. CPU limits and requests are not enforced.
- ephemeral-storage limits and emptyDir sizeLimit are enforced by measuring, with eviction.
- The whole of securityContext (user, capabilities, read-only root, seccomp) is not enforced: the
  process runs as the user who started the node, and sees the files of that user.
- The environment starts empty but for PATH, LANG, HOME, TMPDIR, HOSTNAME; nothing of the node's
  own environment reaches a pod. Service variables and cluster DNS do not exist.
- SIGTERM goes to the first process, as in a container; when that one ends, all others are killed.
  Unlike PID 1 of a container, a process without a handler dies of SIGTERM.
- Not there: volumes beyond emptyDir, secret, configMap, downwardAPI, projected and hostPath;
  attach; gRPC probes; postStart hooks; ephemeral containers; resizing. Exec and port-forward work
  with clients that speak WebSocket (kubectl since 1.31).
"""
