//! What the tensors of SAM 2 are called elsewhere. Here they have their original names.

use crate::weights::names::{Rule, Table};

/// As transformers has it.
pub static TRANSFORMERS: Table = Table {
    name: "SAM 2, names of transformers",
    sign: "vision_encoder.backbone.patch_embed.projection.weight",
    modules: &[IMAGE_ENCODER, PROMPT_ENCODER, MASK_DECODER, MEMORY, TOP],
    inner: &[
        ("layer_norm1", "norm1"),
        ("layer_norm2", "norm2"),
        ("layer_norm3", "norm3"),
        ("layer_norm4", "norm4"),
        ("mlp.proj_in", "mlp.layers.0"),
        ("mlp.proj_out", "mlp.layers.1"),
        ("self_attn.o_proj", "self_attn.out_proj"),
        ("cross_attn_token_to_image.o_proj", "cross_attn_token_to_image.out_proj"),
        ("cross_attn_image_to_token.o_proj", "cross_attn_image_to_token.out_proj"),
        ("cross_attn_image.o_proj", "cross_attn_image.out_proj"),
        ("o_proj", "out_proj"),
        ("proj_in", "layers.0"),
        ("layers.0", "layers.1"),
        ("proj_out", "layers.2"),
        ("depthwise_conv", "dwconv"),
        ("layer_norm", "norm"),
        ("pointwise_conv1", "pwconv1"),
        ("pointwise_conv2", "pwconv2"),
        ("scale", "gamma"),
    ],
    squeezed: &[],
};

const IMAGE_ENCODER: &[Rule] = &[
    ("vision_encoder.backbone.patch_embed.projection", &["image_encoder.trunk.patch_embed.proj"]),
    ("vision_encoder.backbone.blocks.{}", &["image_encoder.trunk.blocks.{}"]),
    ("vision_encoder.backbone", &["image_encoder.trunk"]),
    ("vision_encoder.neck.convs.{}", &["image_encoder.neck.convs.{}.conv"]),
];

const PROMPT_ENCODER: &[Rule] = &[
    ("prompt_encoder.shared_embedding.positional_embedding", &["sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]),
    // The same once more.
    ("shared_image_embedding", &[]),
    (
        "prompt_encoder.point_embed",
        &[
            "sam_prompt_encoder.point_embeddings.0",
            "sam_prompt_encoder.point_embeddings.1",
            "sam_prompt_encoder.point_embeddings.2",
            "sam_prompt_encoder.point_embeddings.3",
        ],
    ),
    ("prompt_encoder.mask_embed.conv1", &["sam_prompt_encoder.mask_downscaling.0"]),
    ("prompt_encoder.mask_embed.layer_norm1", &["sam_prompt_encoder.mask_downscaling.1"]),
    ("prompt_encoder.mask_embed.conv2", &["sam_prompt_encoder.mask_downscaling.3"]),
    ("prompt_encoder.mask_embed.layer_norm2", &["sam_prompt_encoder.mask_downscaling.4"]),
    ("prompt_encoder.mask_embed.conv3", &["sam_prompt_encoder.mask_downscaling.6"]),
    ("prompt_encoder", &["sam_prompt_encoder"]),
];

const MASK_DECODER: &[Rule] = &[
    ("mask_decoder.transformer.layers.{}", &["sam_mask_decoder.transformer.layers.{}"]),
    ("mask_decoder.transformer.final_attn_token_to_image", &["sam_mask_decoder.transformer.final_attn_token_to_image"]),
    ("mask_decoder.transformer.layer_norm_final_attn", &["sam_mask_decoder.transformer.norm_final_attn"]),
    ("mask_decoder.upscale_conv1", &["sam_mask_decoder.output_upscaling.0"]),
    ("mask_decoder.upscale_layer_norm", &["sam_mask_decoder.output_upscaling.1"]),
    ("mask_decoder.upscale_conv2", &["sam_mask_decoder.output_upscaling.3"]),
    ("mask_decoder.output_hypernetworks_mlps.{}", &["sam_mask_decoder.output_hypernetworks_mlps.{}"]),
    ("mask_decoder.iou_prediction_head", &["sam_mask_decoder.iou_prediction_head"]),
    ("mask_decoder.pred_obj_score_head", &["sam_mask_decoder.pred_obj_score_head"]),
    ("mask_decoder", &["sam_mask_decoder"]),
];

const MEMORY: &[Rule] = &[
    ("memory_attention.layers.{}", &["memory_attention.layers.{}"]),
    ("memory_attention.layer_norm", &["memory_attention.norm"]),
    ("memory_encoder.mask_downsampler.layers.0.conv", &["memory_encoder.mask_downsampler.encoder.0"]),
    ("memory_encoder.mask_downsampler.layers.0.layer_norm", &["memory_encoder.mask_downsampler.encoder.1"]),
    ("memory_encoder.mask_downsampler.layers.1.conv", &["memory_encoder.mask_downsampler.encoder.3"]),
    ("memory_encoder.mask_downsampler.layers.1.layer_norm", &["memory_encoder.mask_downsampler.encoder.4"]),
    ("memory_encoder.mask_downsampler.layers.2.conv", &["memory_encoder.mask_downsampler.encoder.6"]),
    ("memory_encoder.mask_downsampler.layers.2.layer_norm", &["memory_encoder.mask_downsampler.encoder.7"]),
    ("memory_encoder.mask_downsampler.layers.3.conv", &["memory_encoder.mask_downsampler.encoder.9"]),
    ("memory_encoder.mask_downsampler.layers.3.layer_norm", &["memory_encoder.mask_downsampler.encoder.10"]),
    ("memory_encoder.mask_downsampler.final_conv", &["memory_encoder.mask_downsampler.encoder.12"]),
    ("memory_encoder.feature_projection", &["memory_encoder.pix_feat_proj"]),
    ("memory_encoder.memory_fuser.layers.{}", &["memory_encoder.fuser.layers.{}"]),
    ("memory_encoder.projection", &["memory_encoder.out_proj"]),
];

const TOP: &[Rule] = &[
    ("memory_temporal_positional_encoding", &["maskmem_tpos_enc"]),
    ("no_memory_embedding", &["no_mem_embed"]),
    ("no_memory_positional_encoding", &["no_mem_pos_enc"]),
    ("no_object_pointer", &["no_obj_ptr"]),
    ("mask_downsample", &["mask_downsample"]),
    ("object_pointer_proj", &["obj_ptr_proj"]),
    ("temporal_positional_encoding_projection_layer", &["obj_ptr_tpos_proj"]),
    ("occlusion_spatial_embedding_parameter", &["no_obj_embed_spatial"]),
];
