//! Pictures small enough for a repository: at most 256 colours, each pixel a byte before it is packed.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use png::{BitDepth, ColorType, Compression, Decoder, Encoder, Transformations};

/// As many as a palette holds.
const COLOURS: usize = 256;

type Colour = [u8; 3];

/// The same picture with a palette. What a page is drawn with are few colours, and very many between them at the edges of letters:
/// the frequent ones stay as they are, the others become the nearest of them.
///
/// # Errors
/// Where it is no PNG without transparency.
pub fn with_palette(picture: &[u8]) -> Result<Vec<u8>> {
    let mut decoder = Decoder::new(std::io::Cursor::new(picture));
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let mut bytes = vec![0; reader.output_buffer_size().context("a picture without an end")?];
    let frame = reader.next_frame(&mut bytes)?;
    let samples = match frame.color_type {
        ColorType::Rgb => 3,
        ColorType::Rgba => 4,
        other => anyhow::bail!("a picture of {other:?}"),
    };
    let pixels: Vec<Colour> =
        bytes[..frame.buffer_size()].chunks_exact(samples).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    ensure!(!pixels.is_empty(), "an empty picture");
    let (palette, places) = palette(&pixels);
    let indexed: Vec<u8> = pixels.iter().map(|pixel| places[pixel]).collect();

    let mut written = Vec::new();
    let mut encoder = Encoder::new(&mut written, frame.width, frame.height);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(palette.concat());
    encoder.set_compression(Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    encoder.write_header()?.write_image_data(&indexed)?;
    Ok(written)
}

/// The colours that stay, and where each colour of the picture is found among them.
fn palette(pixels: &[Colour]) -> (Vec<Colour>, HashMap<Colour, u8>) {
    let mut counts = HashMap::<Colour, usize>::new();
    for pixel in pixels {
        *counts.entry(*pixel).or_default() += 1;
    }
    let mut colours: Vec<(Colour, usize)> = counts.into_iter().collect();
    // By the colour too, so that the same picture gives the same file.
    colours.sort_by_key(|&(colour, count)| (std::cmp::Reverse(count), colour));
    let palette: Vec<Colour> = colours.iter().take(COLOURS).map(|&(colour, _)| colour).collect();
    let places = colours.iter().map(|&(colour, _)| (colour, nearest(&palette, colour))).collect();
    (palette, places)
}

fn nearest(palette: &[Colour], colour: Colour) -> u8 {
    let distance = |other: &Colour| -> u32 {
        other.iter().zip(colour).map(|(&one, other)| u32::from(one.abs_diff(other)).pow(2)).sum()
    };
    let nearest = palette.iter().zip(0..=u8::MAX).min_by_key(|(other, _)| distance(other));
    nearest.map_or(0, |(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(pixels: &[Colour]) -> Vec<u8> {
        let mut written = Vec::new();
        let mut encoder = Encoder::new(&mut written, u32::try_from(pixels.len()).unwrap(), 1);
        encoder.set_color(ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&pixels.concat()).unwrap();
        written
    }

    fn pixels(picture: &[u8]) -> Vec<Colour> {
        let mut decoder = Decoder::new(std::io::Cursor::new(picture));
        decoder.set_transformations(Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        bytes.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }

    #[test]
    fn a_picture_of_few_colours_stays_as_it_is() {
        let few = [[255, 255, 255], [0, 0, 0], [255, 255, 255], [10, 20, 30]];
        assert_eq!(pixels(&with_palette(&picture(&few)).unwrap()), few);
    }

    #[test]
    fn of_many_colours_the_frequent_ones_stay_and_the_others_become_the_nearest() {
        // 256 colours twice each, and one once that is nearest to the first of them.
        let frequent = (0..=u8::MAX).flat_map(|shade| [[shade, 0, 0]; 2]);
        let many: Vec<_> = frequent.chain([[0, 1, 0]]).collect();
        let kept = pixels(&with_palette(&picture(&many)).unwrap());
        assert_eq!(kept[..512], many[..512]);
        assert_eq!(kept[512], [0, 0, 0]);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(with_palette(b"no picture").is_err());
    }
}
