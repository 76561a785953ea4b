//! Lets the program find libtorch without environment variables: the folder it was linked against
//! becomes its rpath.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        panic!("torch-sys did not say where libtorch is; run `make setup` first");
    };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // An rpath of the old kind comes before LD_LIBRARY_PATH, where another libtorch may lie.
    println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
}
