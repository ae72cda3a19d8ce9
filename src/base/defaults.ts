/**
 * The type of the default values of some options: every option is given, and is documented where the options are.
 *
 * @example
 * const defaults: Defaults<{ images?: number }, 'images'> = { images: 32 };
 */
export type Defaults<Options, Name extends keyof Options> = { readonly [Key in Name]-?: NonNullable<Options[Key]> };
