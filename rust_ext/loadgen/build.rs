//! Compiles the floors of proxy and hub: always C at -O2, whatever the Rust profile, so that its figures never depend on it.

fn main() {
    println!("cargo::rerun-if-changed=floor.c");
    println!("cargo::rerun-if-changed=hub_floor.c");
    cc::Build::new()
        .file("floor.c")
        .file("hub_floor.c")
        .opt_level(2)
        .debug(false)
        .warnings(true)
        .extra_warnings(true)
        .flag("-std=gnu11")
        .compile("fastgate_floor");
}
