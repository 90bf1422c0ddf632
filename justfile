# What CI runs, by the piece: `just check test`. All of it, as CI does: .ci/run

# Lists the recipes.
default:
    @just --list --unsorted

# Format, lints and docs.
check:
    cargo fmt --all -- --check
    cargo fmt --all --manifest-path fuzz/Cargo.toml -- --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --package srt-cli --all-targets --no-default-features --features rust-crypto -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Every test; interop tests whose peer is missing say so and pass.
test *args:
    cargo test --workspace {{ args }}

# Simulations alone. `SRT_SEED=0x… just sim` replays one, `SRT_SEEDS=20 just sim` runs twenty times as many.
sim *args:
    cargo test --package srt-tests --lib --test drift --test handshake --test hostile --test live --test one_stream_two_links --test options --test wrap {{ args }}

# Tests against other SRT implementations alone; here a missing peer is a failure.
interop *args:
    CI=true cargo test --package srt-tests --test 'interop_*' {{ args }}

# Every fuzz target for some seconds, or the ones named: `just fuzz-smoke 60 connection`
fuzz-smoke seconds="10" *targets:
    .ci/fuzz-smoke {{ seconds }} {{ targets }}

# All benches; `just bench --quick` for a glance.
bench *args:
    cargo bench --workspace --bench '*' -- {{ args }}

# Our speed against libsrt's, in turn (needs libsrt-openssl-dev and cc); `just versus --quick` for a glance.
versus *args:
    cargo run --release --package srt-tests --bin versus -- {{ args }}

# What a viewer loses over a bad network, ours and libsrt's; `just viewer-loss --quick` for a glance.
viewer-loss *args:
    cargo run --release --package srt-tests --bin viewer_loss -- {{ args }}

# What has grown: the longest files, what each crate uses, dependencies that are there twice. Judges nothing.
tidy:
    @echo "Longest files:"
    @git ls-files '*.rs' | xargs wc -l | sort -rn | sed -e '/ total$/d' -e 16q
    @echo "Crates, and what they use:"
    @-cargo tree --workspace --depth 1 --edges normal
    @echo "There twice:"
    @-cargo tree --workspace --duplicates --depth 0
