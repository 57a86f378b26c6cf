//! Paints pictures to make thumbnails of: `cargo run -p images --example make_pictures -- DIR [COUNT]`. The same count
//! gives the same pictures, JPEG and PNG in turn.

use std::{env, error::Error, fs, path::PathBuf};

use image::{Rgb, RgbImage};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let folder =
        PathBuf::from(arguments.next().ok_or("expected the directory to paint into: make_pictures DIR [COUNT]")?);
    let count = match arguments.next() {
        Some(count) => {
            count.to_string_lossy().parse::<u32>().map_err(|error| format!("failed to read COUNT: {error}"))?
        }
        None => 20,
    };
    fs::create_dir_all(&folder)?;
    for number in 1..=count {
        let ending = if number % 2 == 0 { "png" } else { "jpg" };
        let path = folder.join(format!("picture-{number:02}.{ending}"));
        paint(number).save(&path)?;
        println!("{}", path.display());
    }
    Ok(())
}

/// A gradient between two colours, with rings of a third and some noise, 600 to 1200 pixels wide.
fn paint(number: u32) -> RgbImage {
    let mut random = fastrand::Rng::with_seed(u64::from(number));
    let mut colour = || [random.u8(..), random.u8(..), random.u8(..)].map(f32::from);
    let (from, to, ring) = (colour(), colour(), colour());
    let (width, height) = (random.u32(6..=12) * 100, random.u32(4..=8) * 100);
    let (centre_x, centre_y) = (random.f32() * width as f32, random.f32() * height as f32);
    let spacing = random.f32().mul_add(60.0, 40.0);
    RgbImage::from_fn(width, height, |x, y| {
        let across = (x as f32 / width as f32 + y as f32 / height as f32) / 2.0;
        let distance = (x as f32 - centre_x).hypot(y as f32 - centre_y);
        let on_ring = ((distance / spacing).sin().max(0.0)).powi(4);
        let noise = random.f32() * 12.0;
        Rgb([0, 1, 2].map(|channel| {
            let ground = from[channel] + (to[channel] - from[channel]) * across;
            (ground + (ring[channel] - ground) * on_ring + noise).clamp(0.0, 255.0) as u8
        }))
    })
}
