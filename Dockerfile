# The one image of all three hosts and the admin commands: `tbx api`, `tbx worker`, `tbx notifier`, `tbx migrate`, …
FROM rust:1.95.0-bookworm AS chef
RUN cargo install cargo-chef --locked --version 0.1.78
WORKDIR /build

# What the dependencies are, apart from our sources: as long as that is the same, they are not built again.
FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=plan /build/recipe.json recipe.json
RUN cargo chef cook --release --locked --package tbx --recipe-path recipe.json
COPY . .
RUN cargo build --release --locked --package tbx && cp target/release/tbx /tbx

# No shell, no package manager, not root. There are no versions of it, only the newest build of a Debian: a release names its image by digest.
FROM gcr.io/distroless/cc-debian12:nonroot
USER 65532:65532
COPY --from=build /tbx /usr/local/bin/tbx
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/tbx/
EXPOSE 5000 5001 5002
ENTRYPOINT ["/usr/local/bin/tbx"]
