#!/bin/sh
# Stands before rustc: in our crates, and in those that take a stranger's bytes from us, every branch
# counts itself, which is what libFuzzer is led by. These flags are LLVM's and need no nightly. Left as
# they are: zip and what unpacks for it, since a build script of torch-sys is linked with them too.
rustc=$1
shift
name=
before=
for argument in "$@"; do
    [ "$before" = --crate-name ] && name=$argument
    before=$argument
done
case $name in
polarity | polarity_core | readers | safetensors | tar | image | png | jpeg_decoder | \
    serde_json | serde_yaml | unsafe_libyaml)
    exec "$rustc" "$@" --cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
        -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
        -C llvm-args=-sanitizer-coverage-trace-compares
    ;;
*)
    exec "$rustc" "$@"
    ;;
esac
