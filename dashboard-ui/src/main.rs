//! The page's entry point. Elsewhere than in a browser there is nothing to start.

#[cfg(target_arch = "wasm32")]
fn main() {
    windlass_dashboard::ui::start();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("the dashboard runs in a browser; `cargo xtask build` builds it, and `windlass serve` serves it");
}
