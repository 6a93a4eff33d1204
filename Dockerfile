FROM rust:1-slim-trixie AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:trixie-slim
# Authorities for an http output that speaks TLS.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/shikra /usr/local/bin/
COPY --from=build /src/target/release/libk8saudit.so /src/target/release/libjson.so /src/target/release/libfiletail.so \
    /usr/local/share/shikra/plugins/
COPY rules/*.yaml /usr/local/share/shikra/rules/
# A configuration to begin with; mount your own over the folder. Its relative paths start here.
WORKDIR /etc/shikra
COPY config/shikra.yaml ./
RUN ln -s /usr/local/share/shikra/rules rules
USER 65534
# No entry point: Falco's chart gives the whole command line.
CMD ["/usr/local/bin/shikra", "-c", "/etc/shikra/shikra.yaml"]
