"""The XOR networks of the study in JAX: `vmap` over nets, the whole step compiled by XLA.

    python benches/peers/xor_jax.py [NETS] [WIDTH] [BATCH]

Prints one JSON line with the net-steps a second: a step of one net is a forward and a backward pass over
its own batch, a step of Adam, and the projection with random resets below 0.001, as `polarity` does it.
Steps run inside one `lax.scan`, so Python is left out of the time. Needs `jax`.
"""

import json
import os
import platform
import sys
import time

import jax
import jax.numpy as jnp

NETS, WIDTH, BATCH = (int(text) for text in (sys.argv[1:] + ["200", "64", "32"][len(sys.argv) - 1 :]))
STEPS, ROUNDS = 200, 7
LR, BETA1, BETA2, EPS, BOUND = 0.03, 0.9, 0.999, 1e-7, 1e-3


def logits(net, x):
    hidden = jax.nn.relu(x @ net["w1"] + net["b1"])
    return hidden @ net["w2"] + net["b2"]


def loss(net, x, y):
    z = logits(net, x)
    return jnp.mean(jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))


def step(state, batch):
    net, first, second, count, signs, key = state
    x, y = batch
    gradient = jax.grad(loss)(net, x, y)
    count = count + 1
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradient)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradient)
    rate, root = LR / (1 - BETA1**count), 1 / jnp.sqrt(1 - BETA2**count)
    net = jax.tree.map(
        lambda w, m, v: w - rate * m / (jnp.sqrt(v) * root + EPS), net, first, second
    )
    key, *keys = jax.random.split(key, 3)
    for name, draw in zip(("w1", "w2"), keys):
        reset = signs[name] * BOUND * jax.random.uniform(draw, net[name].shape)
        net[name] = jnp.where(net[name] * signs[name] < 0, reset, net[name])
    return net, first, second, count, signs, key


def start(key):
    kernel1, kernel2, bias1, bias2, resets = jax.random.split(key, 5)
    net = {
        "w1": 0.25 * jax.random.truncated_normal(kernel1, -2, 2, (5, WIDTH)),
        "b1": jax.random.uniform(bias1, (WIDTH,), minval=-1, maxval=1) * (3 / WIDTH) ** 0.5,
        "w2": 0.25 * jax.random.truncated_normal(kernel2, -2, 2, (WIDTH,)),
        "b2": jax.random.uniform(bias2, (), minval=-1, maxval=1) * 3**0.5,
    }
    zeros = jax.tree.map(jnp.zeros_like, net)
    signs = {name: jnp.sign(net[name]) for name in ("w1", "w2")}
    return net, zeros, zeros, 0.0, signs, resets


@jax.jit
def run(states, x, y):
    def advance(states, batch):
        return jax.vmap(step)(states, batch), None

    return jax.lax.scan(advance, states, (x, y))[0]


def main():
    key = jax.random.key(0)
    states = jax.vmap(start)(jax.random.split(key, NETS))
    x = jax.random.normal(key, (STEPS, NETS, BATCH, 5))
    y = (x[..., 0] * x[..., 1] > 0).astype(jnp.float32)
    jax.block_until_ready(run(states, x, y))
    seconds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        jax.block_until_ready(run(states, x, y))
        seconds.append(time.perf_counter() - begin)
    median = sorted(seconds)[ROUNDS // 2]
    print(
        json.dumps(
            {
                "peer": f"jax {jax.__version__} vmap",
                "nets": NETS,
                "width": WIDTH,
                "batch": BATCH,
                "net_steps_per_second": NETS * STEPS / median,
                "best_net_steps_per_second": NETS * STEPS / min(seconds),
                "device": jax.devices()[0].device_kind,
                "cpus": os.cpu_count(),
                "machine": platform.machine(),
            }
        )
    )


if __name__ == "__main__":
    main()
