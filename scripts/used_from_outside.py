"""Names that other programs use and this project does not: vulture counts them as used.

Add what other programs may call. What only tests call is dead code: delete it with its tests.
"""

# Public methods, properties and arguments.
_.aclose, _.to_arrow, _.allow_pickling, _.and_conditions, _.any_array, _.array_chunk_iterator
_.async_ancestry, _.authorized_virtual_container_prefixes, _.clear_virtual_chunk_containers
_.dead_bytes, _.dimension_name, _.false, _.true, _.get_virtual_chunk_container
_.set_virtual_chunk_container, _.list_objects, _.merge_cells, _.rebases, _.reindex_array
_.set_default_commit_metadata, _.shift_array, _.to_html, _.to_pandas, _.total_chunks_storage
_.new_in_memory, _.new_local_filesystem, _.new_s3, _.new_s3_object_store, _.new_tigris, _.new_r2
_.new_gcs, _.new_azure_blob, _.new_http, _.new_redirect, _.new_hf
_.caching, _.concurrency, _.repo_update_retries, _.virtual_chunk_location_compression
_.min_num_chunks, _.dictionary_max_size_bytes, _.dictionary_max_training_samples, _.preload_if
_.unsafe_use_conditional_create, _.unsafe_use_metadata, _.principal, _.workload
_.azure_store, _.s3_object_store_storage, _.num_bytes_attributes, _.num_bytes_chunks
attributes_cache_size, chunks_cache_size, manifests_cache_size, snapshots_cache_size
transactions_cache_size, num_bytes_attributes, num_bytes_chunks

# Fields of public results.
_.attributes_deleted, _.bytes_deleted, _.chunks_deleted, _.manifests_deleted
_.snapshots_deleted, _.transaction_logs_deleted, _.throttled_batches

# Members and nested classes of public enums and unions, by the names of the reference.
_.Or, _.And, _.AnyArray, _.NameMatches, _.NumRefs, _.PathMatches, _.Unknown
_.OFFLINE, _.UNINITIALIZED
_.UserAttributesDoubleUpdate, _.UserAttributesUpdateOfDeletedNode
_.ANCESTOR_NODE_NOT_FOUND, _.FLUSH, _.INCONSISTENT_MANIFESTS, _.INVALID_COMMIT_CONFIGURATION
_.INVALID_MANIFEST_SPLIT_INDEX, _.KEY_NOT_FOUND, _.NOT_A_GROUP, _.NOT_ON_BRANCH, _.NO_SNAPSHOT
_.PARTIAL_VALUES_PANIC, _.PICKLE, _.POISON_LOCK, _.SEMAPHORE_ACQUIRE, _.TAG_ERROR
_.TAG_NOT_FOUND

_.Crc32, _.Crc32c, _.Sha1
_.previous_snap_id, _.new_snap_id
_._all_error_kinds, _._upgrade_icechunk_repository, _.cli_entrypoint, _.SnapshotMetadata

# Zarr's Store.
_._is_open, _._supports_sync_io, _.delete_dir, _.getsize, _.getsize_prefix, _.list_prefix
_.set_partial_values, _.supports_consolidated_metadata, _.supports_deletes, _.supports_listing
_.supports_partial_writes, _.supports_writes, _.with_read_only
key_start_values

# Called by dask, Python, YAML, click, tqdm, IPython and the front end.
keepdims, exc, instance, traceback
_._missing_, _.device, _.inode, _.modified_ns, _.showwarning
_.flow_style, _.get_single_data, _.ignore_aliases
_._help, _.render
_.error_in_exec, _.last_execution_succeeded
_.activity, _.diff_summary, _.repositories_json, _.selected_path, _.theme

# Tools for tests of other programs (`icechunk.testing`).
_.WRITES, _.disarm, _.from_paths, _.from_store, _.throttled, _.precommit_postcommit_readonly
_.tree_and_invalid_moves, _.tree_and_mixed_moves, _.tree_and_valid_moves
_.tree_to_model_and_icechunk, _.wrap_tolerant
