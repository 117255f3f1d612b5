//! Embeds the path of libtorch in the binaries (feature `tch`), so that they load the library they were built with.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    println!("cargo::rerun-if-env-changed=LIBTORCH_USE_PYTORCH");
    if env::var_os("CARGO_FEATURE_TCH").is_none() {
        return;
    }
    match env::var("LIBTORCH") {
        Ok(root) if env::var_os("CARGO_CFG_UNIX").is_some() => println!("cargo::rustc-link-arg=-Wl,-rpath,{root}/lib"),
        Err(_) if env::var_os("LIBTORCH_USE_PYTORCH").is_none() => println!(
            "cargo::warning=feature `tch` without LIBTORCH: downloading libtorch 2.9.0 for the CPU; if that fails, \
             unpack it from https://download.pytorch.org/libtorch and set LIBTORCH to its directory"
        ),
        _ => {}
    }
}
